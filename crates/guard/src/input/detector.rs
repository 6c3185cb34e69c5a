//! The detector: linear-time patterns over several readings of a text (operations.md §6.3).
//!
//! It is a sensor. Injection is prevented where texts are used: by typed parsing, bound parameters
//! and output encoding.

use std::borrow::Cow;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use regex::{Regex, RegexSet, RegexSetBuilder};
use unicode_normalization::UnicodeNormalization;

/// What an attack is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of the attacks are their documentation")]
pub enum Category {
    SqlInjection,
    Xss,
    Traversal,
    Crlf,
    NullByte,
    NoSql,
    Template,
    Command,
    Ssrf,
    Prototype,
    Encoding,
}

impl Category {
    /// The label of the counter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SqlInjection => "SQLI",
            Self::Xss => "XSS",
            Self::Traversal => "TRAVERSAL",
            Self::Crlf => "CRLF",
            Self::NullByte => "NULLBYTE",
            Self::NoSql => "NOSQL",
            Self::Template => "SSTI",
            Self::Command => "CMDI",
            Self::Ssrf => "SSRF",
            Self::Prototype => "PROTO",
            Self::Encoding => "ENCODING",
        }
    }
}

/// A rule that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What the rule looks for.
    pub category: Category,
    /// Number of the rule, for logs; clients aren't told.
    pub rule: usize,
    /// 1 to 10: how sure the rule is.
    pub weight: u32,
}

/// Category, weight, pattern. Matched against texts in lower case.
const RULES: &[(Category, u32, &str)] = &[
    // A quote, a truth: ' or 1=1, ") or ("a"="a
    (
        Category::SqlInjection,
        9,
        r#"['"`][\s)]*(?:\|\||&&|\bor\b|\band\b|\bxor\b|\bhaving\b)[\s(]*(?:not\s+)?['"`]?[\w.]+['"`]?\s*(?:=|<|>|!=|<>|\blike\b|\bin\b|\bbetween\b|\bis\b|\brlike\b)"#,
    ),
    (
        Category::SqlInjection,
        8,
        r"^\s*-?\d+[\s)]*(?:\|\||&&|\bor\b|\band\b)[\s(]*-?\d+\s*(?:=|<|>)\s*-?\d+",
    ),
    (
        Category::SqlInjection,
        8,
        r#"['"`\d][\s)]*(?:\bor\b|\|\|)\s+(?:true|not\s+false|1)\s*(?:--|#|/\*|;|$)"#,
    ),
    (Category::SqlInjection, 9, r"\bunion\b[\s(]+(?:all\s+|distinct\s+)?[\s(]*select\b"),
    (
        Category::SqlInjection,
        9,
        r#"['"`)\d]\s*;\s*(?:select\b.+\bfrom\b|insert\s+into\b|update\b.+\bset\b|delete\s+from\b|drop\s+(?:table|database|schema|user)\b|alter\s+table\b|create\s+(?:table|user)\b|truncate\s+table\b|exec(?:ute)?\b|shutdown\b|declare\s+@|waitfor\s+delay|copy\b.+\bprogram\b)"#,
    ),
    (
        Category::SqlInjection,
        8,
        r"\b(?:sleep|pg_sleep|benchmark|dbms_pipe\.receive_message|extractvalue|updatexml|load_file|xp_cmdshell|utl_http\.request|randomblob|dbms_lock\.sleep)\s*\(",
    ),
    (Category::SqlInjection, 9, r"\bwaitfor\s+delay\s+'"),
    (
        Category::SqlInjection,
        7,
        r"\bselect\b.{1,80}\bfrom\b\s*\(?(?:information_schema|pg_catalog|pg_user|pg_shadow|mysql\.|sqlite_master|sys\.|sysobjects|dual\b|users?\b.*(?:--|#|where))",
    ),
    (Category::SqlInjection, 8, r#"['"`]\s*(?:--|#|/\*)\s*-?\s*$"#),
    (Category::SqlInjection, 7, r"\b(?:order|group)\s+by\s+\d+\s*(?:--|#|/\*|,\s*\d+\s*--)"),
    (
        Category::SqlInjection,
        8,
        r"\(\s*select\b.{1,200}\b(?:from|char|concat|case\s+when|count\s*\(|substr(?:ing)?\s*\()",
    ),
    (
        Category::SqlInjection,
        8,
        r"\b(?:and|or)\b\s*\(?\s*(?:ascii|substr(?:ing)?|length|char|ord|mid|exists|row)\s*\(",
    ),
    (Category::SqlInjection, 7, r"\bcase\s+when\b.{1,80}\bthen\b.{1,80}\bend\b"),
    (Category::SqlInjection, 8, r#"['"`]\s*(?:\|\||\+)\s*(?:\(|char\(|chr\(|concat\(|\w+\s*\()"#),
    (Category::SqlInjection, 7, r"\binto\s+(?:out|dump)file\b\s*['\x22]"),
    (Category::Xss, 9, r"<\s*/?\s*script[\s/>]"),
    (
        Category::Xss,
        9,
        r#"(?:<[a-z!/?][^>]*[\s/"']|^["'\s/]*[\s/"'])on(?:[a-z]{3,24})\s*=\s*[^\s=]"#,
    ),
    (Category::Xss, 9, r#"(?:^|[\s"'=(,:>])(?:javascript|vbscript|livescript)\s*:\s*[^\s/]"#),
    (
        Category::Xss,
        8,
        r"\bdata\s*:\s*(?:text/html|image/svg\+xml|application/xhtml\+xml|text/xml)\s*[,;]",
    ),
    (
        Category::Xss,
        8,
        r"<\s*(?:iframe|embed|object|applet|base|meta|link|frameset|svg|math|foreignobject|isindex|xss|template)[\s/>]",
    ),
    (
        Category::Xss,
        7,
        r"\b(?:alert|confirm|prompt|eval|settimeout|setinterval|function)\s*(?:\(|`).{0,40}(?:document|window|cookie|location|\d+|domain|string\.fromcharcode)",
    ),
    (
        Category::Xss,
        8,
        r"\b(?:document|window)\s*(?:\.|\[).{0,12}(?:cookie|location|domain|write|eval|alert)",
    ),
    (
        Category::Xss,
        8,
        r"(?:expression\s*\(|-moz-binding\s*:|behaviou?r\s*:\s*url|srcdoc\s*=|xlink:href\s*=|formaction\s*=)",
    ),
    (Category::Xss, 7, r"<!\[cdata\[|<!entity|<!doctype\s+\w+\s*\["),
    (Category::Traversal, 9, r"(?:^|[/\\=:?&])(?:\.{2,}|\.%2e)[/\\;].*"),
    (
        Category::Traversal,
        8,
        r"(?:/etc/(?:passwd|shadow|hosts|group)|/proc/self/|/windows/(?:win\.ini|system32)|c:[/\\](?:windows|boot\.ini)|boot\.ini|/\.(?:env|git|ssh|aws|htaccess|htpasswd|svn)(?:/|$)|/web-inf/)",
    ),
    (Category::Traversal, 8, r"^(?:file|php|phar|zip|expect|jar|netdoc|glob)://"),
    (
        Category::Crlf,
        9,
        r"[\r\n]\s*(?:set-cookie|location|content-type|content-length|transfer-encoding|http/\d|host|x-[a-z-]+)\s*[:/]",
    ),
    (Category::NullByte, 9, r"\x00"),
    (
        Category::NoSql,
        8,
        r"(?:^|[\[{,\s'\x22])\$(?:ne|gt|gte|lt|lte|in|nin|regex|where|exists|or|and|expr|function|elemmatch)\b\s*(?:\]|['\x22]?\s*:|$)",
    ),
    (
        Category::Template,
        8,
        r"(?:\{\{|\$\{|#\{|<%=?|\{%).{0,60}(?:\d+\s*\*\s*\d+|__class__|__globals__|config\b|self\b|request\b|constructor|getruntime|system\s*\(|exec\s*\(|import\b|lipsum|cycler)",
    ),
    (Category::Template, 9, r"\$\{\s*(?:jndi|lower|upper|env|sys|java|date|::-)\s*:"),
    // Words that are also English only count with something that looks like an argument.
    (
        Category::Command,
        9,
        r"(?:[;|`]|\$\(|&&)\s*(?:/(?:usr/)?bin/)?(?:cat|ls|id|whoami|uname|wget|curl|nc|ncat|netcat|bash|sh|zsh|ping|nslookup|dig|python\d?|perl|ruby|php|powershell|cmd(?:\.exe)?|chmod|rm|echo|ifconfig|ipconfig)(?:\s+['\x22]?[-/~.$*\\]|\s+\w+[./]\w|\s+\w+:|\s*[;|&`)]|\s*$)",
    ),
    (Category::Command, 9, r"(?:[;|`]|\$\(|&&)\s*sleep\s+\d+\s*(?:[;|&`)#]|$)"),
    (Category::Command, 9, r"\$\{?ifs\}?|\(\)\s*\{\s*:;\s*\}|/bin/(?:ba|z|da|k|c)?sh\b"),
    (
        Category::Ssrf,
        9,
        r"\b(?:https?|ftp|gopher|dict|ldaps?|tftp)://(?:[^/@\s]*@)?(?:127\.\d+\.\d+\.\d+|localhost|0\.0\.0\.0|0x7f|2130706433|169\.254\.\d+\.\d+|metadata\.google|\[::1?\]|\[::ffff:|10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+|172\.(?:1[6-9]|2\d|3[01])\.\d+\.\d+)",
    ),
    (Category::Ssrf, 8, r"\b(?:gopher|dict|ldaps?|tftp|sftp)://"),
    (
        Category::Prototype,
        9,
        r"(?:^|[\[.{'\x22])(?:__proto__|constructor[\].'\x22]+\s*[\[.]?\s*['\x22]?prototype)",
    ),
    (Category::Encoding, 5, r"%(?:25)+[0-9a-f]{2}|%u[0-9a-f]{4}|%c0%a[ef]|%e0%80%a"),
];

/// More of a field isn't looked at.
const INSPECTED: usize = 64 << 10;

static PATTERNS: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    RegexSetBuilder::new(RULES.iter().map(|(.., pattern)| pattern))
        .size_limit(64 << 20)
        .unicode(true)
        .build()
        .inspect_err(|error| tracing::error!(%error, "the input detector is off"))
        .ok()
});

/// Builds the patterns now instead of with the first text, which would wait for it.
pub(super) fn prepare() {
    LazyLock::force(&PATTERNS);
    LazyLock::force(&COMMENTS);
}

/// Comments that split SQL words.
static COMMENTS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"/\*!?\d*.{0,40}?\*/|\s+").ok());

/// What the rules find in a text, each rule once. `encoded` texts are read percent-decoded, up to
/// twice, too.
#[must_use]
pub fn findings(text: &str, encoded: bool) -> Vec<Finding> {
    let text = match text.get(..text.floor_char_boundary(INSPECTED)) {
        Some(head) if text.len() > INSPECTED => head,
        _ => text,
    };
    if !suspicious(text) {
        return Vec::new();
    }
    let Some(patterns) = PATTERNS.as_ref() else { return Vec::new() };
    let mut matched = vec![false; RULES.len()];
    for view in views(text, encoded) {
        for rule in &patterns.matches(&view) {
            if let Some(matched) = matched.get_mut(rule) {
                *matched = true;
            }
        }
    }
    matched
        .iter()
        .zip(RULES)
        .enumerate()
        .filter(|(_, (matched, _))| **matched)
        .map(|(rule, (_, (category, weight, _)))| Finding {
            category: *category,
            rule,
            weight: *weight,
        })
        .collect()
}

/// No rule matches a text of plain signs without one of these words, and most fields are such.
fn suspicious(text: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b' ' | b'-' | b'_' | b'.' | b'/' | b'@' | b':' | b',')
    };
    if !text.bytes().all(plain) {
        return true;
    }
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// A name as browsers give themselves, `Mozilla/5.0 (X11; Linux x86_64) …`: products and comments
/// without anything a rule looks for. Every request has one, so it must cost nothing.
pub(super) fn names_a_client(agent: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b' ' | b'-' | b'_' | b'.' | b'/' | b':' | b',' | b';' | b'(' | b')')
    };
    let calls = |pair: &[u8]| matches!(pair, [before, b'('] if *before != b' ');
    agent.starts_with("Mozilla/5.0 (")
        && agent.bytes().all(plain)
        && !agent.as_bytes().windows(2).any(calls)
        && !["..", "/.", "://", ":/", " /", ";/"].iter().any(|part| agent.contains(part))
}

/// What a text of plain signs must contain for a rule to match.
const WORDS: [&str; 15] = [
    "..",
    "/.",
    "__",
    "://",
    "/etc/",
    "/proc/",
    "/windows/",
    "c:/",
    "boot.ini",
    "/web-inf/",
    "script:",
    "/bin/",
    "prototype",
    "union",
    "select",
];

/// The readings of a text, in lower case, each once.
fn views(text: &str, encoded: bool) -> Vec<String> {
    let mut views: Vec<String> = Vec::with_capacity(6);
    let mut add = |view: &str| {
        let view = view.to_lowercase();
        if !views.contains(&view) {
            views.push(view);
        }
    };
    add(text);
    let mut decoded = Cow::Borrowed(text);
    if encoded {
        for _ in 0..2 {
            let next = decoded.replace('+', " ");
            let next = percent_decode_str(&next).decode_utf8_lossy().into_owned();
            if next == decoded {
                break;
            }
            add(&next);
            decoded = Cow::Owned(next);
        }
    }
    if decoded.contains('&') {
        decoded = Cow::Owned(entities(&decoded));
        add(&decoded);
    }
    if !decoded.is_ascii() {
        decoded = Cow::Owned(decoded.nfkc().collect());
        add(&decoded);
    }
    if let Some(comments) = COMMENTS.as_ref() {
        add(&comments.replace_all(&decoded, " "));
        // un/**/ion
        add(&decoded.replace("/**/", ""));
    }
    // Browsers drop these within a scheme.
    if decoded.contains(['\t', '\n', '\r']) {
        add(&decoded.replace(['\t', '\n', '\r'], ""));
    }
    views
}

/// Decodes the character references attacks use: numbers, and the names of the special ones.
fn entities(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        decoded.push_str(before);
        let name: String = after
            .chars()
            .take(10)
            .take_while(|it| it.is_ascii_alphanumeric() || *it == '#')
            .collect();
        let character = match name.to_ascii_lowercase().as_str() {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "amp" => Some('&'),
            "colon" => Some(':'),
            "lpar" => Some('('),
            "rpar" => Some(')'),
            "tab" => Some('\t'),
            "newline" => Some('\n'),
            number => number.strip_prefix('#').and_then(|digits| {
                let code = match digits.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => digits.parse(),
                };
                char::from_u32(code.ok()?)
            }),
        };
        match character {
            Some(character) => {
                decoded.push(character);
                let after = after.get(name.len()..).unwrap_or_default();
                rest = after.strip_prefix(';').unwrap_or(after);
            }
            None => {
                decoded.push('&');
                rest = after;
            }
        }
    }
    decoded.push_str(rest);
    decoded
}
