//! Placeholders of a text, filled in as Chatwoot's Liquid does (`behaviours.md §9.2`, content).
//!
//! Whoever may write a message chooses the text, and it is rendered while the conversation is
//! locked: only what takes time and room in proportion to the text is allowed. There are no loops,
//! no assignments, and no filters that multiply what they are given.

use std::io::{self, Write};
use std::panic::catch_unwind;
use std::sync::LazyLock;

use liquid_core::model::{KString, KStringCow, KStringRef, ScalarCow, ValueCow};
use liquid_core::parser::{self, Language};

use liquid_core::runtime::{PartialStore, Registers, Renderable as _, RuntimeBuilder, Template};
use liquid_core::{ParseBlock, ParseFilter, Runtime, Value};
use liquid_lib::stdlib;

use super::content::CONTENT_LIMIT;

/// The longest placeholder or tag, in bytes.
const LONGEST: usize = 1024;
/// The most placeholders and tags of a text.
const MOST: usize = 64;
/// The deepest index within an index.
const DEEPEST: usize = 8;
/// The most filters of a placeholder: each may add a whole record to what it is given.
const FILTERS: usize = 8;
/// The longest run of blanks: at each of them the parser looks for a mark after the last.
const BLANKS: usize = 256;
/// The longest number, in digits.
const DIGITS: usize = 18;

static LANGUAGE: LazyLock<Language> = LazyLock::new(|| {
    let mut language = Language::empty();
    let mut block = |name: &str, block: Box<dyn ParseBlock>| {
        language.blocks.register(name.to_owned(), block);
    };
    block("raw", Box::new(stdlib::RawBlock));
    block("if", Box::new(stdlib::IfBlock));
    block("unless", Box::new(stdlib::UnlessBlock));
    block("case", Box::new(stdlib::CaseBlock));
    block("comment", Box::new(stdlib::CommentBlock));
    let mut filter = |name: &str, filter: Box<dyn ParseFilter>| {
        language.filters.register(name.to_owned(), filter);
    };
    filter("append", Box::new(stdlib::Append));
    filter("prepend", Box::new(stdlib::Prepend));
    filter("capitalize", Box::new(stdlib::Capitalize));
    filter("default", Box::new(stdlib::Default));
    filter("downcase", Box::new(stdlib::Downcase));
    filter("escape", Box::new(stdlib::Escape));
    filter("remove", Box::new(stdlib::Remove));
    filter("size", Box::new(stdlib::Size));
    filter("strip", Box::new(stdlib::Strip));
    filter("lstrip", Box::new(stdlib::Lstrip));
    filter("rstrip", Box::new(stdlib::Rstrip));
    filter("strip_html", Box::new(stdlib::StripHtml));
    filter("strip_newlines", Box::new(stdlib::StripNewlines));
    filter("truncate", Box::new(stdlib::Truncate));
    filter("truncatewords", Box::new(stdlib::TruncateWords));
    filter("upcase", Box::new(stdlib::Upcase));
    filter("url_encode", Box::new(stdlib::UrlEncode));
    language
});

/// Whether a text has anything to be filled in.
pub(super) fn has_placeholders(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// The text with its placeholders filled in from `variables`, an object. What is unknown is empty;
/// code spans stay as they are, and so does a text that can't be read.
pub(super) fn render(text: &str, variables: &serde_json::Value) -> Option<String> {
    let source = spare_code(text);
    if !is_reasonable(&source) {
        return None;
    }
    // The language's library panics where its grammar lets through what its reader does not know.
    catch_unwind(|| fill_in(&source, variables)).ok().flatten()
}

fn fill_in(source: &str, variables: &serde_json::Value) -> Option<String> {
    let elements = parser::parse(source, &LANGUAGE).ok()?;
    let globals = liquid_core::to_object(variables).ok()?;
    let runtime = Lenient(RuntimeBuilder::new().set_globals(&globals).build());
    let mut filled = Bounded(Vec::new());
    Template::new(elements).render_to(&mut filled, &runtime).ok()?;
    String::from_utf8(filled.0).ok().filter(|text| text.chars().nth(CONTENT_LIMIT).is_none())
}

/// Takes what may yet be a message's content, and refuses more.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > CONTENT_LIMIT.saturating_mul(4) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Marks code spans as raw.
fn spare_code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('`') {
        let Some((code, after)) = from.split_once('`') else { break };
        out.push_str(before);
        if has_placeholders(code) {
            out.push_str("{% raw %}`");
            out.push_str(code);
            out.push_str("`{% endraw %}");
        } else {
            out.extend(["`", code, "`"]);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether reading the text takes no more than a moment and little of the stack.
///
/// A placeholder ends at its first end mark, unless that stands in quotes: such a text is refused, for what
/// follows would be counted as nothing.
fn is_reasonable(source: &str) -> bool {
    if longest_run(source, char::is_whitespace) > BLANKS {
        return false;
    }
    let mut rest = source;
    let mut count = 0;
    while let Some(at) = rest.find('{') {
        let (_, from) = rest.split_at(at);
        let end = if from.starts_with("{{") {
            "}}"
        } else if from.starts_with("{%") {
            "%}"
        } else {
            rest = from.strip_prefix('{').unwrap_or_default();
            continue;
        };
        let Some((inner, after)) = from.split_once(end) else { return false };
        count += 1;
        let held = |mark: u8| inner.bytes().filter(|b| *b == mark).count();
        let excessive = held(b'[') > DEEPEST
            || held(b'|') > FILTERS
            || longest_run(inner, |c| c.is_ascii_digit()) > DIGITS;
        if count > MOST || inner.len() > LONGEST || excessive || leaves_quotes_open(inner) {
            return false;
        }
        rest = after;
    }
    true
}

fn longest_run(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.split(|c| !of(c)).map(|run| run.chars().count()).max().unwrap_or_default()
}

fn leaves_quotes_open(inner: &str) -> bool {
    let mut open = None;
    for c in inner.chars().filter(|c| matches!(c, '\'' | '"')) {
        open = match open {
            None => Some(c),
            Some(quote) if quote == c => None,
            still => still,
        };
    }
    open.is_some()
}

/// A runtime to which whatever is unknown is nil.
struct Lenient<R>(R);

impl<R: Runtime> Runtime for Lenient<R> {
    fn partials(&self) -> &dyn PartialStore {
        self.0.partials()
    }
    fn name(&self) -> Option<KStringRef<'_>> {
        self.0.name()
    }
    fn roots(&self) -> std::collections::BTreeSet<KStringCow<'_>> {
        self.0.roots()
    }
    fn try_get(&self, path: &[ScalarCow<'_>]) -> Option<ValueCow<'_>> {
        Some(self.0.try_get(path).unwrap_or(ValueCow::Owned(Value::Nil)))
    }
    fn get(&self, path: &[ScalarCow<'_>]) -> liquid_core::Result<ValueCow<'_>> {
        Ok(self.0.try_get(path).unwrap_or(ValueCow::Owned(Value::Nil)))
    }
    fn set_global(&self, name: KString, value: Value) -> Option<Value> {
        self.0.set_global(name, value)
    }
    fn set_index(&self, name: KString, value: Value) -> Option<Value> {
        self.0.set_index(name, value)
    }
    fn get_index<'a>(&'a self, name: &str) -> Option<ValueCow<'a>> {
        self.0.get_index(name)
    }
    fn registers(&self) -> &Registers {
        self.0.registers()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fills_in_what_is_known() {
        let variables =
            json!({"contact": {"name": "Vera", "custom_attribute": {"plan": "gold", "seats": 3}}});
        let check = |text: &str, expected: &str| {
            assert_eq!(
                render(text, &variables).unwrap_or_else(|| text.to_owned()),
                expected,
                "{text}"
            );
        };
        check("Dear {{contact.name}}!", "Dear Vera!");
        check("Dear {{ contact.name | upcase }}!", "Dear VERA!");
        check("{{contact.custom_attribute.plan}}: {{contact.custom_attribute.seats}}", "gold: 3");
        check("Dear {{contact.nickname}}!", "Dear !");
        check("Dear {{nobody.at.all}}!", "Dear !");
        check("Dear {{contact.nickname | default: 'you'}}!", "Dear you!");
        check("{% if contact.name == 'Vera' %}Hi{% else %}Ho{% endif %}", "Hi");
        check("{% if contact.nickname %}Hi{% else %}Ho{% endif %}", "Ho");
        check("Write `{{contact.name}}` to {{contact.name}}", "Write `{{contact.name}}` to Vera");
        check("```\n{{contact.name}}\n```", "```\n{{contact.name}}\n```");
        check("a ` b {{contact.name}}", "a ` b Vera");
    }

    #[test]
    fn what_can_not_be_read_stays() {
        let check = |text: &str| assert_eq!(render(text, &json!({})), None, "{text}");
        check("Dear {{contact.name");
        check("{{}}");
        check("{% for i in (1..1000000000) %}x{% endfor %}");
        check("{% assign a = 'b' %}{{a}}");
        check("{{ 'a' | replace: 'a', 'aaaaaaaaaa' }}");
        check(&"{% if a %}".repeat(10_000));
        check(&format!("{{{{ {} }}}}", "a[".repeat(400)));
        check(&"{{ a }}".repeat(10_000));
        check(&format!("{{% if '%}}' == a {} %}}x{{% endif %}}", "and a ".repeat(12_000)));
        check(&format!("{{{{ '}}}}' | append: {} }}}}", "a[".repeat(400)));
        check(&format!("{{{{ \"}}}}\" {} }}}}", "| append: a ".repeat(6_600)));
        check(&format!("{{{{ a {} }}}}", "| append: a ".repeat(9)));
        check(&format!("{}{{{{ a }}}}", " ".repeat(100_000)));
        check("{{ 99999999999999999999999 }}");
    }

    #[test]
    fn what_would_grow_too_long_stays() {
        let variables = json!({"contact": {"note": "x".repeat(CONTENT_LIMIT / 2)}});
        assert!(render("{{ contact.note }}{{ contact.note }}", &variables).is_some());
        assert_eq!(render("{{ contact.note }} {{ contact.note }}", &variables), None);
        assert_eq!(render(&"{{ contact | append: contact }}".repeat(64), &variables), None);
    }
}
