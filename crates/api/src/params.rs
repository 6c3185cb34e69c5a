//! What was sent, however it was spelled: query, form, multipart or JSON, merged into one object as
//! Rails merges them (`behaviours.md §1`).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::multipart::Field;
use axum::extract::{FromRequest, FromRequestParts as _, Multipart, RawPathParams, Request};
use bytes::Bytes;
use chatwarden_core::values;
use chatwarden_files::{Disk, Fault, Incoming, tidy};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use crate::app::App;
use crate::error::{Answer, ApiError};

/// Containers nested deeper than this are refused.
const DEPTH: usize = 32;
/// A list index or a key more than this many times is refused.
const KEYS: usize = 4096;
/// More files than this in a form are refused.
const FILES: usize = 64;
/// More bytes than this in the fields of a form and the names of its parts are refused; files are no fields.
const FIELDS: usize = 10 << 20;

/// Columns that every record has.
const COLUMNS: [&str; 4] = ["id", "account_id", "created_at", "updated_at"];

/// The parameters of a request: one object.
#[derive(Debug, Clone, Default)]
pub struct Params {
    values: Map<String, Value>,
    files: BTreeMap<String, Vec<Upload>>,
    /// The keys of a body of JSON, which count as the record's without being wrapped.
    json: Option<Vec<String>>,
}

/// A file of a multipart form. Its content is on the disk; where nothing keeps it, it goes with the
/// request.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The name the client gave it, tidied.
    pub filename: String,
    /// The type the client gave it.
    pub content_type: Option<String>,
    /// Its content.
    pub incoming: Arc<Incoming>,
    /// Whether it was sent as one of a list: `name[]`.
    pub listed: bool,
}

impl Upload {
    /// Its bytes, for files that are read, not kept.
    ///
    /// # Errors
    /// 503 where the disk fails.
    pub async fn bytes(&self) -> Answer<Bytes> {
        self.incoming.bytes().await.map_err(|error| Fault::from(error).into())
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, fault.to_string()),
            Fault::Full => {
                tracing::error!("the disk is full: a file was refused");
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "There is no room for files")
            }
            Fault::Disk(error) => {
                tracing::error!(%error, "the disk fails: a file was refused");
                Self::unavailable("Files can't be stored now; try again", 10)
            }
            Fault::Sender(text) => Self::bad_request(format!("The file can't be read: {text}")),
        }
    }
}

impl FromRequest<App> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &App) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let mut out = Self::of(query_values(query)?);
        let path = RawPathParams::from_request_parts(&mut parts, state).await.ok().map(|params| {
            params
                .iter()
                .map(|(k, v)| (k.to_owned(), Value::String(v.to_owned())))
                .collect::<Vec<_>>()
        });
        let content_type = parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        if !content_type.is_empty() && !is_content_type(&content_type) {
            return Err(ApiError::not_acceptable());
        }
        let request = Request::from_parts(parts, body);
        if content_type.starts_with("multipart/form-data") {
            out.read_multipart(request, state).await?;
        } else {
            let body = Bytes::from_request(request, state).await.map_err(|e| {
                ApiError::with_body(e.status(), serde_json::json!({"error": e.body_text()}))
            })?;
            if content_type.contains("json")
                || (content_type.is_empty() && body.first() == Some(&b'{'))
            {
                out.json = Some(out.read_json(&body)?);
            } else if content_type.starts_with("application/x-www-form-urlencoded") {
                for (key, value) in pairs(&body)? {
                    insert(&mut out.values, &key, Value::String(value))?;
                }
            }
        }
        for (key, value) in path.into_iter().flatten() {
            out.values.insert(key, value);
        }
        Ok(out)
    }
}

impl Params {
    /// The parameters of a query.
    ///
    /// # Errors
    /// 400 for what can't be decoded.
    pub fn of_query(query: &str) -> Result<Self, ApiError> {
        query_values(query).map(Self::of)
    }

    /// Parameters that are already an object: for tests and inner objects.
    pub fn of(values: Map<String, Value>) -> Self {
        Self { values, ..Self::default() }
    }

    /// Reads a body of JSON; its keys.
    fn read_json(&mut self, body: &[u8]) -> Result<Vec<String>, ApiError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Vec::new());
        }
        let object = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(object)) => object,
            // Rails puts what is no object under `_json`.
            Ok(other) => Map::from_iter([("_json".to_owned(), other)]),
            Err(error) => {
                return Err(ApiError::bad_request(format!("The body is no valid JSON: {error}")));
            }
        };
        let keys = object.keys().cloned().collect();
        self.values.extend(object);
        Ok(keys)
    }

    async fn read_multipart(&mut self, request: Request, app: &App) -> Result<(), ApiError> {
        let mut form =
            Multipart::from_request(request, app).await.map_err(|e| broken(&e.body_text()))?;
        let (mut parts, mut files, mut fields) = (0, 0, 0);
        while let Some(mut field) = form.next_field().await.map_err(|e| broken(&e.body_text()))? {
            parts += 1;
            if parts > KEYS {
                return Err(ApiError::bad_request("Too many parameters"));
            }
            let name = field.name().unwrap_or_default().to_owned();
            fields += name.len();
            if let Some(filename) = field.file_name().map(str::to_owned) {
                files += 1;
                if files > FILES {
                    return Err(ApiError::bad_request("The form has too many files"));
                }
                let upload = receive(&app.outside().disk, filename, field).await?;
                let upload = Upload { listed: name.ends_with("[]"), ..upload };
                self.files.entry(name.trim_end_matches("[]").to_owned()).or_default().push(upload);
                continue;
            }
            let mut text = Vec::new();
            while let Some(piece) = field.chunk().await.map_err(|e| broken(&e.body_text()))? {
                fields += piece.len();
                if fields > FIELDS {
                    return Err(ApiError::new(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "The form is too large",
                    ));
                }
                text.extend_from_slice(&piece);
            }
            let text = String::from_utf8(text)
                .map_err(|_| ApiError::bad_request(format!("{name} is no valid UTF-8")))?;
            insert(&mut self.values, &name, Value::String(text))?;
        }
        Ok(())
    }

    /// Whether a key was sent with a single value, null among them. A list or an object where one value belongs is
    /// dropped, as strong parameters drop it: the key is as if it had not been sent.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(values::is_scalar)
    }

    /// The value as it was sent.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// The object itself.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// A text; numbers and truth values count by how they are written, null and containers do not.
    pub fn text(&self, key: &str) -> Option<String> {
        values::text(self.values.get(key)?)
    }

    /// A text that says something.
    pub fn present(&self, key: &str) -> Option<String> {
        self.text(key).filter(|text| !text.trim().is_empty())
    }

    /// An integer, also as text.
    pub fn integer(&self, key: &str) -> Option<i64> {
        values::integer(self.values.get(key)?)
    }

    /// The place in a list from which it is read, if one was sent: an id, 0 for what is no number.
    pub fn position(&self, key: &str) -> Option<i64> {
        self.present(key).map(|text| values::leading_integer(&text).unwrap_or(0))
    }

    /// A [truth value](values::flag).
    pub fn flag(&self, key: &str) -> Option<bool> {
        values::flag(self.values.get(key)?)
    }

    /// One of an enumeration's values, if any was sent: by its name, in JSON by its number too.
    ///
    /// # Errors
    /// 422 for what is none of them.
    pub fn one_of<T: Copy>(
        &self,
        key: &str,
        all: &[T],
        name: fn(T) -> &'static str,
        integer: fn(T) -> i64,
    ) -> Answer<Option<T>> {
        let Some(sent) = self.present(key) else { return Ok(None) };
        let number = self.get(key).and_then(Value::as_i64);
        let known = all.iter().find(|one| name(**one) == sent || Some(integer(**one)) == number);
        known
            .copied()
            .map(Some)
            .ok_or_else(|| ApiError::unprocessable(format!("'{sent}' is not a valid {key}")))
    }

    /// The id of a record in the path; what is no number names no record.
    ///
    /// # Errors
    /// 404.
    pub fn id(&self, key: &str) -> Result<i64, ApiError> {
        self.text(key).and_then(|id| id.parse().ok()).ok_or_else(ApiError::not_found)
    }

    /// The parameters under a name, which must be there and say something.
    ///
    /// # Errors
    /// 422.
    pub fn require(&self, name: &str) -> Result<Self, ApiError> {
        self.inner(name)
            .filter(|inner| !inner.values.is_empty() || !inner.files.is_empty())
            .ok_or_else(|| ApiError::missing(name))
    }

    /// The parameters of a record: those under its name, or where the body is JSON its columns at
    /// the top (`behaviours.md §1`, parameter wrapping): `columns`, and those that every record has.
    ///
    /// # Errors
    /// 422 where there are none.
    pub fn record(&self, name: &str, columns: &[&str]) -> Result<Self, ApiError> {
        self.wrapped(name, |key| columns.contains(&key) || COLUMNS.contains(&key))
    }

    /// The parameters of a form that is no record's: those under its name, or where the body is JSON all of it.
    ///
    /// # Errors
    /// 422 where there are none.
    pub fn whole_form(&self, name: &str) -> Result<Self, ApiError> {
        self.wrapped(name, |_| true)
    }

    fn wrapped(&self, name: &str, belongs: impl Fn(&str) -> bool) -> Result<Self, ApiError> {
        let keys = match &self.json {
            Some(keys) if !self.values.contains_key(name) => keys,
            _ => return self.require(name),
        };
        let own = keys.iter().filter(|key| belongs(key));
        let own = own.filter_map(|key| Some((key.clone(), self.values.get(key)?.clone())));
        let record = Value::Object(own.collect());
        Self::of(Map::from_iter([(name.to_owned(), record)])).require(name)
    }

    /// An object, also as JSON in a text; none where something else was sent.
    pub fn object(&self, key: &str) -> Option<Map<String, Value>> {
        match self.values.get(key)? {
            Value::Object(object) => Some(object.clone()),
            Value::String(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    /// An object, where one was sent.
    ///
    /// # Errors
    /// 422 for what is none.
    pub fn object_or_none(&self, key: &str) -> Answer<Option<Map<String, Value>>> {
        match self.values.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object.clone())),
            Some(_) => Err(ApiError::unprocessable(format!("{key} must be an object"))),
        }
    }

    /// The parameters under a key, as parameters: `params.inner("contact")`.
    pub fn inner(&self, key: &str) -> Option<Self> {
        let object = match self.values.get(key) {
            Some(Value::Object(object)) => object.clone(),
            _ => Map::new(),
        };
        let prefix = format!("{key}[");
        let files: BTreeMap<_, _> = self
            .files
            .iter()
            .filter_map(|(name, uploads)| {
                Some((
                    name.strip_prefix(&prefix)?.trim_end_matches(']').to_owned(),
                    uploads.clone(),
                ))
            })
            .collect();
        (self.values.contains_key(key) || !files.is_empty()).then_some(Self {
            values: object,
            files,
            json: None,
        })
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.files.is_empty()
    }

    /// A list of single values, as texts. What is no list is dropped, and so is one that holds lists or objects: as
    /// strong parameters drop them.
    pub fn texts(&self, key: &str) -> Option<Vec<String>> {
        let list = self.list(key)?;
        list.iter().filter(|value| !value.is_null()).map(values::text).collect()
    }

    /// A list of texts where a single one counts as a list, too, and so does what an object holds.
    pub fn one_or_more(&self, key: &str) -> Option<Vec<String>> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Some(match self.values.get(key)? {
            Value::Array(list) => list.iter().filter_map(text).collect(),
            Value::Object(object) => object.values().filter_map(text).collect(),
            one => text(one).into_iter().collect(),
        })
    }

    /// A list of integers; what is no number is 0.
    pub fn integers(&self, key: &str) -> Option<Vec<i64>> {
        let texts = self.texts(key)?;
        Some(texts.iter().map(|text| values::leading_integer(text).unwrap_or(0)).collect())
    }

    /// The list of ids that must be there; what is no number is 0, which is nobody's.
    ///
    /// # Errors
    /// 422.
    pub fn ids(&self, key: &str) -> Answer<Vec<i64>> {
        self.integers(key).ok_or_else(|| match self.get(key) {
            None | Some(Value::Null) => ApiError::missing(key),
            Some(_) => ApiError::unprocessable(format!("{key} must be a list of ids")),
        })
    }

    /// A list as it was sent.
    pub fn list(&self, key: &str) -> Option<Vec<Value>> {
        match self.values.get(key)? {
            Value::Array(list) => Some(list.clone()),
            Value::Object(object) if object.keys().all(|k| k.parse::<u32>().is_ok()) => {
                Some(object.values().cloned().collect())
            }
            _ => None,
        }
    }

    /// The files under a key.
    pub fn files(&self, key: &str) -> &[Upload] {
        self.files.get(key).map_or(&[], Vec::as_slice)
    }

    /// A page number; 1 where none makes sense.
    pub fn page(&self) -> i64 {
        self.integer("page").filter(|page| *page > 0).unwrap_or(1)
    }

    /// What `current_page` echoes: what was sent, as it was sent, or the number 1 (`resources.md §0`).
    pub fn page_echo(&self) -> Value {
        let sent = self.get("page").filter(|page| page.is_string() || page.is_number());
        sent.cloned().unwrap_or(Value::from(1))
    }
}

/// A form that breaks off or makes no sense.
fn broken(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("The form can't be read: {error}"))
}

/// Receives a file of a form.
async fn receive(disk: &Disk, filename: String, field: Field<'_>) -> Answer<Upload> {
    let content_type = field.content_type().map(str::to_owned);
    let pieces = futures::stream::try_unfold(field, async |mut field| {
        Ok::<_, String>(field.chunk().await.map_err(|e| e.body_text())?.map(|piece| (piece, field)))
    });
    let incoming = disk.receive(pieces).await?;
    let incoming = Arc::new(incoming);
    Ok(Upload { filename: tidy(&filename), content_type, incoming, listed: false })
}

/// The parameters of a query alone.
pub(crate) fn query_values(query: &str) -> Result<Map<String, Value>, ApiError> {
    let mut values = Map::new();
    for (key, value) in pairs(query.as_bytes())? {
        insert(&mut values, &key, Value::String(value))?;
    }
    Ok(values)
}

/// The pairs of a query or a form, decoded.
fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let decode = |part: &[u8]| {
        if !encoded_well(part) {
            return Err(ApiError::bad_request("A parameter has an invalid percent-encoding"));
        }
        let spaced: Vec<u8> = part.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
        percent_encoding::percent_decode(&spaced)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| ApiError::bad_request("A parameter is no valid UTF-8"))
    };
    let mut out = Vec::new();
    for pair in text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        if out.len() >= KEYS {
            return Err(ApiError::bad_request("Too many parameters"));
        }
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let key = decode(halves.next().unwrap_or_default())?;
        out.push((key, decode(halves.next().unwrap_or_default())?));
    }
    Ok(out)
}

/// Two hexadecimal digits after every percent sign.
fn encoded_well(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'%').skip(1).all(|part| {
        part.first_chunk::<2>().is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Whether a text names a kind of content: `type/subtype`, and what may follow.
fn is_content_type(text: &str) -> bool {
    let kind = text.split(';').next().unwrap_or_default().trim();
    kind.split_once('/').is_some_and(|(of, sub)| !of.is_empty() && !sub.is_empty())
}

/// Puts a value where a nested key says: `a[b][]` appends to the list `b` of the object `a`.
fn insert(into: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), ApiError> {
    let (first, rest) = key.split_at(key.find('[').unwrap_or(key.len()));
    let mut path = vec![first];
    let mut rest = rest;
    while let Some(inner) = rest.strip_prefix('[') {
        let Some((segment, after)) = inner.split_once(']') else { break };
        path.push(segment);
        rest = after;
    }
    if path.len() > DEPTH {
        return Err(ApiError::bad_request(format!("{first} is nested too deep")));
    }
    place(into.entry(first.to_owned()), path.get(1..).unwrap_or_default(), value, key)
}

fn place(
    entry: serde_json::map::Entry<'_>,
    path: &[&str],
    value: Value,
    key: &str,
) -> Result<(), ApiError> {
    let clash = || ApiError::bad_request(format!("{key} is both a value and a container"));
    let Some((segment, rest)) = path.split_first() else {
        match entry {
            serde_json::map::Entry::Occupied(mut slot) => {
                slot.insert(value);
            }
            serde_json::map::Entry::Vacant(slot) => {
                slot.insert(value);
            }
        }
        return Ok(());
    };
    if segment.is_empty() {
        let slot = entry.or_insert_with(|| Value::Array(Vec::new()));
        let list = slot.as_array_mut().ok_or_else(clash)?;
        if list.len() >= KEYS {
            return Err(ApiError::bad_request(format!("{key} has too many values")));
        }
        if rest.is_empty() {
            list.push(value);
            return Ok(());
        }
        // `items[][title]=a&items[][value]=b`: a new object begins where a key comes again.
        let inner = rest.first().copied().unwrap_or_default();
        let fresh = match list.last() {
            Some(Value::Object(last)) => rest.len() == 1 && last.contains_key(inner),
            _ => true,
        };
        if fresh {
            list.push(Value::Object(Map::new()));
        }
        let last = list.last_mut().and_then(Value::as_object_mut).ok_or_else(clash)?;
        return place(last.entry(inner.to_owned()), rest.get(1..).unwrap_or_default(), value, key);
    }
    let slot = entry.or_insert_with(|| Value::Object(Map::new()));
    let object = slot.as_object_mut().ok_or_else(clash)?;
    place(object.entry((*segment).to_owned()), rest, value, key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(query: &str) -> Result<Value, ApiError> {
        let mut out = Map::new();
        for (key, value) in pairs(query.as_bytes())? {
            insert(&mut out, &key, Value::String(value))?;
        }
        Ok(Value::Object(out))
    }

    #[test]
    fn reads_nested_keys_as_rails_does() {
        let check =
            |query: &str, expected: Value| assert_eq!(parse(query).unwrap(), expected, "{query}");
        check("a=1&b=x+y%20z", json!({"a": "1", "b": "x y z"}));
        check("a[b]=1&a[c][d]=2", json!({"a": {"b": "1", "c": {"d": "2"}}}));
        check("ids[]=1&ids[]=2", json!({"ids": ["1", "2"]}));
        check("i[][t]=a&i[][v]=1&i[][t]=b", json!({"i": [{"t": "a", "v": "1"}, {"t": "b"}]}));
        check("a%5Bb%5D=1", json!({"a": {"b": "1"}}));
        check("a", json!({"a": ""}));
        check("a[b=1", json!({"a": "1"}));
        check("&&a=1&", json!({"a": "1"}));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for query in [
            "a=1&a[b]=2",
            "a[]=1&a[b]=2",
            "a=%ff",
            "a=%zz",
            "%4=1",
            &format!("a{}=1", "[x]".repeat(40)),
        ] {
            assert!(parse(query).is_err(), "{query}");
        }
    }

    #[test]
    fn reads_values_leniently() {
        let Value::Object(values) = json!({
            "n": "12abc", "i": 7, "f": 7.9, "t": "true", "z": "0", "e": "", "null": null, "one": "a", "o": "{\"a\":1}",
            "list": ["a", 7, null, "7b"], "mixed": ["a", {}],
        }) else {
            unreachable!()
        };
        let params = Params::of(values);
        assert_eq!(params.integer("n"), Some(12));
        assert_eq!(params.integer("f"), Some(7));
        assert_eq!(params.integer("t"), None);
        assert_eq!(params.flag("t"), Some(true));
        assert_eq!(params.flag("z"), Some(false));
        assert_eq!(params.flag("e"), None);
        assert_eq!(params.text("i").as_deref(), Some("7"));
        assert_eq!(params.text("null"), None);
        assert_eq!(params.texts("one"), None);
        assert_eq!(params.texts("mixed"), None);
        assert_eq!(params.one_or_more("one"), Some(vec!["a".to_owned()]));
        assert_eq!(params.integers("list"), Some(vec![0, 7, 7]));
        assert!(params.ids("one").is_err() && params.ids("list").is_ok());
        assert!(params.has("null") && params.has("one"));
        assert!(!params.has("list") && !params.has("none"));
        assert_eq!(params.object("o").map(Value::Object), Some(json!({"a": 1})));
        assert_eq!(params.page(), 1);
        assert_eq!(params.position("n"), Some(12));
        assert_eq!(params.position("t"), Some(0));
        assert_eq!(params.position("e"), None);
    }
}
