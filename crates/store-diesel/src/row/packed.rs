//! Text that is kept in less room.

/// The first byte of a packed payload. JSON cannot begin with it, so the plain ones of older databases are told apart.
const LZ4: u8 = 1;

/// A webhook's body packs to about a quarter, which is worth more to the disk than it costs the processor.
pub(crate) fn pack(text: &str) -> Vec<u8> {
    if text.is_empty() {
        return Vec::new();
    }
    // As `compress_prepend_size` writes it, with our byte before it and without a second buffer.
    let size = u32::try_from(text.len()).expect("a body has a limit far below 4 GiB").to_le_bytes();
    let mut packed = vec![0; 5 + lz4_flex::block::get_maximum_output_size(text.len())];
    packed[0] = LZ4;
    packed[1..5].copy_from_slice(&size);
    let length = lz4_flex::block::compress_into(text.as_bytes(), &mut packed[5..]).expect("the buffer is large enough");
    packed.truncate(5 + length);
    packed
}

/// Reads what [`pack`] made, and plain text of older databases.
pub(crate) fn unpack(bytes: &[u8]) -> Option<String> {
    match bytes.split_first() {
        Some((&LZ4, packed)) => String::from_utf8(lz4_flex::block::decompress_size_prepended(packed).ok()?).ok(),
        _ => String::from_utf8(bytes.to_owned()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_packed_and_an_older_plain_one_still_read() {
        let text = r#"{"action":"created","body":"héé 修复"}"#.repeat(50);
        let packed = pack(&text);
        assert!(packed.len() < text.len() / 4);
        assert_eq!(unpack(&packed), Some(text.clone()));
        assert_eq!(unpack(text.as_bytes()), Some(text));
        assert_eq!(unpack(&pack("")), Some(String::new()));
        assert_eq!(unpack(&[LZ4, 9, 9]), None);
    }
}
