//! Renders untrusted Markdown as safe HTML.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// The longest text that is shown, in characters.
const MAX_CHARS: usize = 100_000;

/// Renders Markdown. Raw HTML is shown as text, external images become links, and only web and mail links are kept.
pub fn to_html(markdown: &str) -> String {
    let text: String = markdown.chars().take(MAX_CHARS).collect();
    let mut images = 0_usize;
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(&text, options).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(without_plain_tags(&html).into()),
        Event::Start(Tag::Image { dest_url, title, id, .. }) => {
            images += 1;
            link(dest_url, title, id)
        }
        Event::End(TagEnd::Image) => {
            images = images.saturating_sub(1);
            Event::End(TagEnd::Link)
        }
        Event::Start(Tag::Link { dest_url, title, id, .. }) => link(dest_url, title, id),
        other => other,
    });
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, events);
    // Links send no referrer and give the target no access to this page.
    out.replace("<a href=", "<a rel=\"noopener noreferrer nofollow ugc\" href=")
}

/// Tags that only affect the layout of a text.
const PLAIN_TAGS: &[&str] =
    &["<sub>", "</sub>", "<details>", "</details>", "<summary>", "</summary>", "<br>", "<br/>", "<kbd>", "</kbd>"];

/// Removes comments and the tags that are common in texts of forges from raw HTML; everything else stays visible as
/// text.
fn without_plain_tags(html: &str) -> String {
    let mut out = PLAIN_TAGS.iter().fold(html.to_owned(), |text, tag| text.replace(tag, ""));
    while let Some(from) = out.find("<!--") {
        let to = out[from..].find("-->").map_or(out.len(), |end| from + end + 3);
        out.replace_range(from..to, "");
    }
    out
}

fn link<'a>(url: CowStr<'a>, title: CowStr<'a>, id: CowStr<'a>) -> Event<'a> {
    let lower = url.to_ascii_lowercase();
    let safe = ["http://", "https://", "mailto:"].iter().any(|scheme| lower.starts_with(scheme));
    let dest_url = if safe { url } else { CowStr::Borrowed("#") };
    Event::Start(Tag::Link { link_type: pulldown_cmark::LinkType::Inline, dest_url, title, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_shown_and_can_do_nothing() {
        let html = to_html(
            "# Hi\n\n**b** <script>alert(1)</script> [x](javascript:alert(1)) ![i](http://evil/x.png)\n\n<img src=x onerror=y>\n\n| a |\n| - |\n| 1 |",
        );
        for bad in ["<script", "<img", "javascript:", "onerror=y>"] {
            assert!(!html.contains(bad), "{bad} in {html}");
        }
        assert!(html.contains("<h1>Hi</h1>") && html.contains("<strong>b</strong>") && html.contains("<table>"));
        let ours =
            to_html("done\n\n<sub>job 1</sub>\n<!-- mark -->\n\n<details><summary>s</summary>\n\nx\n\n</details>");
        assert!(
            ours.contains("job 1") && !ours.contains("sub") && !ours.contains("mark") && !ours.contains("details"),
            "{ours}"
        );
        assert!(html.contains("href=\"http://evil/x.png\"") && html.contains("rel=\"noopener"), "{html}");
    }
}
