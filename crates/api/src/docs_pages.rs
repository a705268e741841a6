//! The pages that show the OpenAPI description. They load nothing from other hosts.

use std::io::Read as _;

use actix_web::http::header::{
    AcceptEncoding, CONTENT_ENCODING, Encoding, Header as _, LOCATION, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, web};
use flate2::read::GzDecoder;

const INDEX: &str = r#"<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <title>Patchwright API</title>
    <link rel="stylesheet" href="swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="swagger-ui-bundle.js"></script>
    <script src="swagger-initializer.js"></script>
  </body>
</html>
"#;

const INITIALIZER: &str = r##"window.addEventListener("load", () => {
  SwaggerUIBundle({ url: "/api/openapi.json", dom_id: "#swagger-ui", deepLinking: true });
});
"##;

/// Returns the content of a part of Swagger UI, packed by the build script with gzip.
macro_rules! packed {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz"))
    };
}

pub(crate) async fn redirect_to_index() -> HttpResponse {
    HttpResponse::Found().insert_header((LOCATION, "/api/docs/index.html")).finish()
}

pub(crate) async fn part(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    match name.as_str() {
        "index.html" => HttpResponse::Ok().content_type("text/html; charset=utf-8").body(INDEX),
        "swagger-initializer.js" => HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(INITIALIZER),
        "swagger-ui-bundle.js" => unpack(&request, "text/javascript; charset=utf-8", packed!("swagger-ui-bundle.js")),
        "swagger-ui.css" => unpack(&request, "text/css; charset=utf-8", packed!("swagger-ui.css")),
        "LICENSE" => unpack(&request, "text/plain; charset=utf-8", packed!("LICENSE")),
        _ => HttpResponse::NotFound().finish(),
    }
}

/// Responds with the packed bytes as they are, or unpacked for a client that does not accept gzip.
fn unpack(request: &HttpRequest, media_type: &str, packed: &'static [u8]) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .content_type(media_type)
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((VARY, "accept-encoding"));
    let offered = [Encoding::gzip(), Encoding::identity()];
    let accepted = AcceptEncoding::parse(request);
    if accepted.is_ok_and(|accepted| accepted.negotiate(offered.iter()) == Some(Encoding::gzip())) {
        return response.insert_header((CONTENT_ENCODING, "gzip")).body(packed);
    }
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).expect("the build script packed it");
    response.body(bytes)
}
