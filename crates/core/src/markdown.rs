//! What agents write, as plain text and as HTML. The text is anybody's: no markup of its own passes, and
//! links lead to the web or to a mailbox.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// The text without its marks.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for event in Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => {
                out.push_str(&text);
            }
            Event::SoftBreak | Event::HardBreak => out.push('\n'),
            Event::End(
                TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Item | TagEnd::CodeBlock,
            ) if !out.ends_with('\n') => {
                out.push('\n');
            }
            _ => {}
        }
    }
    out.trim().to_owned()
}

/// Where a link or a picture may lead.
fn is_harmless(address: &str) -> bool {
    let address = address.trim().to_ascii_lowercase();
    ["http://", "https://", "mailto:"].iter().any(|scheme| address.starts_with(scheme))
}

/// The text as HTML.
pub fn to_html(text: &str) -> String {
    let tame = |address: CowStr<'static>| -> CowStr<'static> {
        if is_harmless(&address) { address } else { CowStr::Borrowed("#") }
    };
    let events = Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH).map(|event| match event {
        Event::Html(markup) | Event::InlineHtml(markup) => Event::Text(markup),
        Event::SoftBreak => Event::HardBreak,
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = tame(dest_url.into_static());
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        // A picture is somebody's server being told who reads when: it is shown as its text.
        Event::Start(Tag::Image { .. }) => Event::Start(Tag::Emphasis),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Emphasis),
        other => other,
    });
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, events);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_has_no_marks() {
        let check = |text: &str, expected: &str| assert_eq!(plain(text), expected, "{text}");
        check("Hello, **anyone**?", "Hello, anyone?");
        check("[@Grace](mention://user/5/Grace) please look", "@Grace please look");
        check("`code` and _slant_", "code and slant");
        check("1. one\n2. two", "one\ntwo");
        check("a <b>b</b>", "a <b>b</b>");
    }

    #[test]
    fn html_has_none_but_its_own() {
        let check =
            |text: &str, expected: &str| assert_eq!(to_html(text).trim(), expected, "{text}");
        check("**a** & b", "<p><strong>a</strong> &amp; b</p>");
        check("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;");
        check("a <b>b</b>", "<p>a &lt;b&gt;b&lt;/b&gt;</p>");
        check("[x](javascript:alert(1))", "<p><a href=\"#\">x</a></p>");
        check("[x](https://a.b/?c=\"d)", "<p><a href=\"https://a.b/?c=%22d\">x</a></p>");
        check("a\nb", "<p>a<br />\nb</p>");
        check("![x](https://a.b/c.png)", "<p><em>x</em></p>");
    }
}
