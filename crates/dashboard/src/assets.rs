//! The style sheet, the scripts and the icon, embedded in the program. Their URLs contain a hash of their content, so
//! that browsers can cache them forever and never use outdated ones.

use std::io::Write as _;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{SHA256, digest};

/// A static file of the pages.
#[derive(Debug)]
pub struct Asset {
    /// The file name.
    pub name: &'static str,
    /// The media type.
    pub media_type: &'static str,
    /// The content.
    pub bytes: &'static [u8],
    /// The content, compressed with gzip. (Pages are not compressed: their compressed size would reveal the token in
    /// their forms.)
    pub packed: Vec<u8>,
    hash: String,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |name, media_type, bytes: &'static [u8]| {
        let hash = digest(&SHA256, bytes).as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        Asset { name, media_type, bytes, packed: pack(bytes), hash }
    };
    vec![
        asset("style.css", "text/css; charset=utf-8", include_bytes!("../assets/style.css")),
        asset("app.js", "text/javascript; charset=utf-8", include_bytes!("../assets/app.js")),
        asset("log.js", "text/javascript; charset=utf-8", include_bytes!("../assets/log.js")),
        asset("remarks.js", "text/javascript; charset=utf-8", include_bytes!("../assets/remarks.js")),
        asset("icon.svg", "image/svg+xml", include_bytes!("../assets/icon.svg")),
    ]
});

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).expect("memory takes all that is written");
    packer.finish().expect("memory takes all that is written")
}

/// Returns the URL of an asset.
pub fn address(name: &str) -> String {
    let known = ASSETS.iter().find(|asset| asset.name == name);
    known.map_or_else(String::new, |asset| format!("/assets/{}/{}", asset.hash, asset.name))
}

/// Returns the asset at a URL; `None` if its content has changed since.
pub fn find(hash: &str, name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name && asset.hash == hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_where_its_address_says_and_they_are_small() {
        let address = address("style.css");
        let (hash, name) = address.strip_prefix("/assets/").unwrap().split_once('/').unwrap();
        assert_eq!(find(hash, name).unwrap().media_type, "text/css; charset=utf-8");
        assert!(find("0", name).is_none() && find(hash, "../style.css").is_none());
        let all: usize = ASSETS.iter().map(|asset| asset.packed.len()).sum();
        assert!(all < 20_000, "{all} bytes are too much for a first page");
    }
}
