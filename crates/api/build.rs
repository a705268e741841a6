//! Packs the parts of Swagger UI that the pages of the API load. The archive holds each of them in several variants, which
//! together are ten times as large.

use std::io::{Cursor, copy};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;
use zip::result::ZipError;

/// The name in the archive, below its one folder, and the name of the packed file.
const PARTS: [(&str, &str); 3] = [
    ("dist/swagger-ui-bundle.js", "swagger-ui-bundle.js.gz"),
    ("dist/swagger-ui.css", "swagger-ui.css.gz"),
    ("LICENSE", "LICENSE.gz"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    let names: Vec<String> =
        archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<_, ZipError>>()?;
    for (part, packed) in PARTS {
        let is_part = |name: &&String| name.split_once('/').is_some_and(|(_, rest)| rest == part);
        let name = names.iter().find(is_part).ok_or_else(|| format!("the archive has no {part}"))?;
        let mut packer = GzEncoder::new(std::fs::File::create(out.join(packed))?, Compression::best());
        copy(&mut archive.by_name(name)?, &mut packer)?;
        packer.finish()?;
    }
    Ok(())
}
