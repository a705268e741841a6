//! Reading reports that are XML.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// What reads a report: its elements and texts, in their order.
pub(super) trait Visitor {
    fn open(&mut self, tag: &BytesStart<'_>);
    fn close(&mut self, tag: &[u8]);
    fn add(&mut self, text: &str);
}

/// Reads a text; `None` if it is not XML.
pub(super) fn read(xml: &str, visitor: &mut impl Visitor) -> Option<()> {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => visitor.open(&tag),
            Event::Empty(tag) => {
                visitor.open(&tag);
                visitor.close(tag.local_name().as_ref());
            }
            Event::End(tag) => visitor.close(tag.local_name().as_ref()),
            Event::Text(text) => visitor.add(&text.xml10_content().unwrap_or_default()),
            Event::CData(text) => visitor.add(&String::from_utf8_lossy(&text)),
            Event::GeneralRef(name) => visitor.add(&resolve(&name)),
            Event::Eof => return Some(()),
            _ => {}
        }
    }
}

/// Returns the value of an attribute.
pub(super) fn attribute(tag: &BytesStart<'_>, wanted: &[u8]) -> Option<String> {
    let found = tag.attributes().flatten().find(|attribute| attribute.key.as_ref() == wanted)?;
    found.normalized_value(quick_xml::XmlVersion::Implicit1_0).ok().map(std::borrow::Cow::into_owned)
}

fn resolve(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    quick_xml::escape::unescape(&format!("&{text};")).map(std::borrow::Cow::into_owned).unwrap_or_default()
}
