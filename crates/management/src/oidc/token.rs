//! ID tokens: JSON web tokens whose signature and claims are verified before use.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The largest accepted difference between the clocks, in seconds.
const LEEWAY: i64 = 60;

/// The error of an invalid token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the ID token is none")]
    Malformed,
    #[error("the ID token is signed with `{0}`; RS256, PS256, ES256 and EdDSA are accepted")]
    Algorithm(String),
    #[error("the ID token is signed with a key that the provider does not name")]
    UnknownKey,
    #[error("the ID token's signature is wrong")]
    Signature,
    #[error("the ID token is not for this client: its `{0}` does not match")]
    Claim(&'static str),
    #[error("the ID token has ended, or begins later; set the clocks right")]
    Time,
}

/// The keys of a provider.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Debug, Clone, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

/// The expected claims of a token.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) now: Timestamp,
}

/// The claims of a verified token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claims {
    pub(crate) subject: String,
    pub(crate) all: Map<String, Value>,
}

/// Verifies a token: the signature first, then the claims (`OpenID` Connect Core, 3.1.3.7).
pub(crate) fn verify(token: &str, keys: &Jwks, expected: &Expected<'_>) -> Result<Claims, TokenError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, body) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
    let header: Header = serde_json::from_slice(&bytes(header)?).map_err(|_| TokenError::Malformed)?;
    check_signature(&header, keys, signed.as_bytes(), &bytes(signature)?)?;
    let all: Map<String, Value> = serde_json::from_slice(&bytes(body)?).map_err(|_| TokenError::Malformed)?;
    check_claims(&all, expected)?;
    let subject = all.get("sub").and_then(Value::as_str).filter(|text| !text.is_empty() && text.len() <= 255);
    Ok(Claims { subject: subject.ok_or(TokenError::Claim("sub"))?.to_owned(), all })
}

fn check_signature(header: &Header, keys: &Jwks, signed: &[u8], signature: &[u8]) -> Result<(), TokenError> {
    // The kind of key must match the algorithm, so that a public key is never used as a shared secret.
    let kty = match header.alg.as_str() {
        "RS256" | "PS256" => "RSA",
        "ES256" => "EC",
        "EdDSA" => "OKP",
        other => return Err(TokenError::Algorithm(other.chars().take(20).collect())),
    };
    let fits = |key: &&Jwk| {
        key.kty == kty
            && key.r#use.as_deref().is_none_or(|purpose| purpose == "sig")
            && key.alg.as_deref().is_none_or(|alg| alg == header.alg)
            && (header.kid.is_none() || key.kid == header.kid)
    };
    let mut found = keys.keys.iter().filter(fits).peekable();
    if found.peek().is_none() {
        return Err(TokenError::UnknownKey);
    }
    if found.any(|key| key.verifies(&header.alg, signed, signature)) { Ok(()) } else { Err(TokenError::Signature) }
}

impl Jwk {
    fn verifies(&self, alg: &str, signed: &[u8], signature: &[u8]) -> bool {
        let part = |text: &Option<String>| text.as_ref().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let verified = match (alg, self.crv.as_deref()) {
            ("RS256" | "PS256", _) => {
                let (Some(n), Some(e)) = (part(&self.n), part(&self.e)) else { return false };
                let parameters = if alg == "RS256" { &RSA_PKCS1_2048_8192_SHA256 } else { &RSA_PSS_2048_8192_SHA256 };
                RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature)
            }
            ("ES256", Some("P-256")) => {
                let (Some(x), Some(y)) = (part(&self.x), part(&self.y)) else { return false };
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
            }
            ("EdDSA", Some("Ed25519")) => {
                let Some(x) = part(&self.x) else { return false };
                UnparsedPublicKey::new(&ED25519, x).verify(signed, signature)
            }
            _ => return false,
        };
        verified.is_ok()
    }
}

fn check_claims(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), TokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(TokenError::Claim("iss"));
    }
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audiences.contains(&expected.client_id) {
        return Err(TokenError::Claim("aud"));
    }
    let party = text("azp");
    if party.is_some_and(|party| party != expected.client_id) || (audiences.len() > 1 && party.is_none()) {
        return Err(TokenError::Claim("azp"));
    }
    if text("nonce") != Some(expected.nonce) {
        return Err(TokenError::Claim("nonce"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "seconds, which some providers write with a fraction")]
    let second = |name: &str| claims.get(name).and_then(Value::as_f64).map(|second| second as i64);
    let now = expected.now.as_second();
    let ended = second("exp").is_none_or(|end| end + LEEWAY <= now);
    let early = second("iat").is_none_or(|at| at - LEEWAY > now) || second("nbf").is_some_and(|at| at - LEEWAY > now);
    if ended || early { Err(TokenError::Time) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    struct Signer(EcdsaKeyPair);

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
            Self(pair.unwrap())
        }

        fn keys(&self) -> Jwks {
            let point = self.0.public_key().as_ref();
            let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
            let key =
                json!({"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "x": part(1..33), "y": part(33..65)});
            serde_json::from_value(json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}, key]})).unwrap()
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    fn claims() -> Value {
        json!({
            "iss": "https://id.example", "aud": "us", "sub": "42", "nonce": "n", "iat": NOW - 5, "exp": NOW + 300,
            "preferred_username": "alice",
        })
    }

    fn judged(signer: &Signer, header: &Value, claims: &Value) -> Result<Claims, TokenError> {
        let now = Timestamp::from_second(NOW).unwrap();
        let expected = Expected { issuer: "https://id.example", client_id: "us", nonce: "n", now };
        verify(&signer.token(header, claims), &signer.keys(), &expected)
    }

    #[test]
    fn a_good_token_is_believed() {
        let signer = Signer::new();
        let good = judged(&signer, &json!({"alg": "ES256", "kid": "1"}), &claims()).unwrap();
        assert_eq!((good.subject.as_str(), &good.all["preferred_username"]), ("42", &"alice".into()));
        let mut many = claims();
        (many["aud"], many["azp"]) = (json!(["us", "them"]), "us".into());
        assert!(judged(&signer, &json!({"alg": "ES256"}), &many).is_ok());
    }

    #[test]
    fn every_way_to_forge_one_is_refused() {
        let signer = Signer::new();
        let es256 = json!({"alg": "ES256", "kid": "1"});
        for alg in ["none", "HS256", "RS1", ""] {
            assert_eq!(judged(&signer, &json!({"alg": alg}), &claims()), Err(TokenError::Algorithm(alg.into())));
        }
        assert_eq!(judged(&signer, &json!({"alg": "ES256", "kid": "2"}), &claims()), Err(TokenError::UnknownKey));
        assert_eq!(judged(&signer, &json!({"alg": "RS256"}), &claims()), Err(TokenError::UnknownKey));
        let now = Timestamp::from_second(NOW).unwrap();
        let expected = Expected { issuer: "https://id.example", client_id: "us", nonce: "n", now };
        let theirs = Signer::new().token(&es256, &claims());
        assert_eq!(verify(&theirs, &signer.keys(), &expected), Err(TokenError::Signature));
        let good = signer.token(&es256, &claims());
        let (rest, signature) = good.rsplit_once('.').unwrap();
        let (header, _) = rest.split_once('.').unwrap();
        let mut other = claims();
        other["sub"] = "1".into();
        let swapped = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(other.to_string()));
        assert_eq!(verify(&swapped, &signer.keys(), &expected), Err(TokenError::Signature));
        for broken in ["", "a", "a.b", "a.b.c", "..", "e30.e30."] {
            assert!(verify(broken, &signer.keys(), &expected).is_err(), "{broken}");
        }
        for (name, value, error) in [
            ("iss", json!("https://id.example/"), TokenError::Claim("iss")),
            ("aud", json!("them"), TokenError::Claim("aud")),
            ("aud", json!(["us", "them"]), TokenError::Claim("azp")),
            ("azp", json!("them"), TokenError::Claim("azp")),
            ("nonce", json!("m"), TokenError::Claim("nonce")),
            ("nonce", Value::Null, TokenError::Claim("nonce")),
            ("sub", json!(""), TokenError::Claim("sub")),
            ("exp", json!(NOW - 60), TokenError::Time),
            ("exp", Value::Null, TokenError::Time),
            ("iat", json!(NOW + 61), TokenError::Time),
            ("nbf", json!(NOW + 61), TokenError::Time),
        ] {
            let mut bad = claims();
            bad[name] = value;
            assert_eq!(judged(&signer, &es256, &bad), Err(error), "{name}");
        }
    }
}
