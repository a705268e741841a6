//! Encodings of source files: what is not UTF-8 is read by its mark or its own declaration, and written back the same.

use std::sync::LazyLock;

use encoding_rs::{Encoding, GB18030, UTF_16BE, UTF_16LE};
use regex::Regex;

/// A text with the encoding of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// What the file says, with the byte order mark if it begins with one.
    pub text: String,
    /// The encoding by its label; `None` for UTF-8.
    pub encoding: Option<String>,
}

/// How many bytes at the beginning are searched for a declaration.
const DECLARATION: usize = 1_024;

/// Decodes a file: UTF-8; UTF-16 with its mark; else what the file declares (`coding: gbk`, `charset=…`, `encoding="…"`); else
/// GB 18030, if every byte fits and the text has Chinese characters.
///
/// # Errors
/// A text for users, if the file is no text in a known encoding.
pub fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(Decoded { text: text.to_owned(), encoding: None });
    }
    let (encoding, is_guessed) = match bytes {
        [0xff, 0xfe, ..] => (UTF_16LE, false),
        [0xfe, 0xff, ..] => (UTF_16BE, false),
        _ => match declared(bytes) {
            Some(encoding) => (encoding, false),
            None => (GB18030, true),
        },
    };
    // The mark at the beginning is part of the text.
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    let text = text.filter(|text| !text.contains('\0') && (!is_guessed || is_chinese(text)));
    // Some bytes have no way back: writing the file again would change lines that nobody edits.
    let text = text.filter(|text| encode(text, Some(encoding.name())).is_ok_and(|again| again == bytes));
    match text {
        Some(text) => Ok(Decoded { text: text.into_owned(), encoding: Some(encoding.name().to_owned()) }),
        None => Err("it is not text in UTF-8, UTF-16, GBK or an encoding that it declares".to_owned()),
    }
}

/// Encodes a text as its file was.
///
/// # Errors
/// A text for the model, if the encoding is unknown or has no place for a character.
pub fn encode(text: &str, encoding: Option<&str>) -> Result<Vec<u8>, String> {
    let Some(label) = encoding else { return Ok(text.as_bytes().to_vec()) };
    let encoding = Encoding::for_label(label.as_bytes()).ok_or_else(|| format!("the encoding {label} is not known"))?;
    if encoding == UTF_16LE {
        return Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    }
    if encoding == UTF_16BE {
        return Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    let (bytes, _, has_unmappable) = encoding.encode(text);
    if has_unmappable {
        return Err(format!("the file is in {label}, which has no place for one of its characters"));
    }
    Ok(bytes.into_owned())
}

fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    static WORDS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?i)(?:coding[:=]|charset\s*=|encoding\s*=)\s*["']?([-\w.]+)"#).expect("the expression is valid")
    });
    let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION)]);
    let label = WORDS.captures(&begin)?.get(1)?.as_str().to_lowercase();
    // Declared so and not so: it is not UTF-8.
    by_label(&label).filter(|encoding| *encoding != encoding_rs::UTF_8)
}

/// Finds an encoding by one of the names that languages have for it, such as Python's `latin-1` and `cp936`.
fn by_label(label: &str) -> Option<&'static Encoding> {
    let other = match label {
        "cp932" | "ms932" => "shift_jis",
        "cp936" | "ms936" => "gbk",
        "cp949" | "uhc" => "euc-kr",
        "cp950" => "big5",
        _ => label,
    };
    let bare: String = other.chars().filter(|c| !matches!(c, '-' | '_')).collect();
    [other, bare.as_str()].into_iter().find_map(|label| Encoding::for_label(label.as_bytes()))
}

/// Returns whether most of what is beyond ASCII are common Chinese characters and their punctuation.
fn is_chinese(text: &str) -> bool {
    let other: Vec<char> = text.chars().filter(|c| !c.is_ascii()).collect();
    let is_common =
        |c: &&char| matches!(**c, '\u{4e00}'..='\u{9fff}' | '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}');
    other.iter().filter(is_common).count() * 10 >= other.len() * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_as_it_was_is_not_taken() {
        let bytes = [
            245, 226, 128, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 166, 245, 245, 245,
            245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 245, 181, 60, 84,
            60,
        ];
        if let Ok(decoded) = decode(&bytes) {
            assert_eq!(encode(&decoded.text, decoded.encoding.as_deref()).unwrap(), bytes);
        }
    }

    #[test]
    fn fault_g_a_file_is_written_in_the_encoding_that_it_had() {
        let text = "# -*- coding: gbk -*-\n# 加法\n";
        let gbk = encoding_rs::GBK.encode(text).0.into_owned();
        let utf16: Vec<u8> = "\u{feff}$a = '修'\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let undeclared = encoding_rs::GBK.encode("// 加法函数\nint add;\n").0.into_owned();
        let latin = b"# coding: latin-1\nname = '\xe9'\n".to_vec();
        let xml = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9</a>".to_vec();
        let mut code_page = b"# coding: cp936\n# ".to_vec();
        code_page.extend(encoding_rs::GBK.encode("修").0.iter());
        for bytes in [gbk, utf16, undeclared, latin, xml, code_page, "plain é".as_bytes().to_vec(), Vec::new()] {
            let decoded = decode(&bytes).unwrap();
            assert_eq!(encode(&decoded.text, decoded.encoding.as_deref()).unwrap(), bytes, "{decoded:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for bytes in [&b"\x89PNG\r\n\x1a\n\x00\x00"[..], b"caf\xe9 and nothing else", b"\xff\xfe\x00\xd8a"] {
            assert!(decode(bytes).is_err(), "{bytes:?}");
        }
        let error = encode("naïve 修", Some("windows-1252")).unwrap_err();
        assert!(error.contains("windows-1252"), "{error}");
    }
}
