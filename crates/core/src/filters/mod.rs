//! The filter language: conditions that clients put together to find conversations and contacts
//! (`behaviours.md §7`).
//!
//! Conditions are turned into a text of static fragments and bound values: what a client sends, the keys of
//! custom attributes included, is never part of the text. Joints stand between conditions as they are written, so
//! that `and` binds tighter than `or`.

mod models;

pub use models::{CONTACTS, CONVERSATIONS};

use chatwarden_db::{Composed, Timestamp};
use serde_json::Value;

use crate::custom_attributes::{Definition, DisplayType};
use crate::error::{Error, Result};
use crate::pattern;

/// As many conditions may be put together.
const CONDITIONS: usize = 100;
/// The longest value.
const LONG: usize = 1500;
/// As many values may the conditions have together: a page repeats them in each of up to 32 parts, and SQLite
/// takes 32,766, and expressions no deeper than 1,000.
const VALUES: usize = 400;
/// What stands for yes in a checkbox, a truth value or a text.
const TICKED: [&str; 6] = ["true", "t", "yes", "y", "on", "1"];
/// And for no.
const UNTICKED: [&str; 6] = ["false", "f", "no", "n", "off", "0"];
/// The microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Is one of the values.
    EqualTo,
    /// Is none of the values.
    NotEqualTo,
    /// Holds one of the values.
    Contains,
    /// Holds none of the values.
    DoesNotContain,
    /// Begins with one of the values.
    StartsWith,
    /// Is there.
    IsPresent,
    /// Is not there.
    IsNotPresent,
    /// Comes after the value.
    IsGreaterThan,
    /// Comes before the value.
    IsLessThan,
    /// Is that many days ago, or more.
    DaysBefore,
}

impl Operator {
    const ALL: &'static [Self] = &[
        Self::EqualTo,
        Self::NotEqualTo,
        Self::Contains,
        Self::DoesNotContain,
        Self::StartsWith,
        Self::IsPresent,
        Self::IsNotPresent,
        Self::IsGreaterThan,
        Self::IsLessThan,
        Self::DaysBefore,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::EqualTo => "equal_to",
            Self::NotEqualTo => "not_equal_to",
            Self::Contains => "contains",
            Self::DoesNotContain => "does_not_contain",
            Self::StartsWith => "starts_with",
            Self::IsPresent => "is_present",
            Self::IsNotPresent => "is_not_present",
            Self::IsGreaterThan => "is_greater_than",
            Self::IsLessThan => "is_less_than",
            Self::DaysBefore => "days_before",
        }
    }

    const fn takes_values(self) -> bool {
        !matches!(self, Self::IsPresent | Self::IsNotPresent)
    }
}

/// What an attribute is, and where it is kept.
#[derive(Debug, Clone, Copy)]
pub enum Kept {
    /// A column of integers, and the same as a text.
    Integer(&'static str, &'static str),
    /// A column of an enumeration: its integer by its name.
    Named(&'static str, fn(&str) -> Option<i64>),
    /// A column of texts, or a text within a document.
    Text(&'static str),
    /// A column of phone numbers.
    Phone(&'static str),
    /// A column of truth values.
    Flag(&'static str),
    /// A document that is a list of texts.
    Labels(&'static str),
    /// A column of moments.
    Moment(&'static str),
}

/// An attribute that every record has.
#[derive(Debug, Clone, Copy)]
pub struct Attribute {
    key: &'static str,
    operators: &'static [Operator],
    kept: Kept,
}

/// What is filtered.
#[derive(Debug)]
pub struct Model {
    attributes: &'static [Attribute],
    /// The document of custom attributes.
    custom: &'static str,
    /// Whether only the first value of an equality counts.
    first_value_alone: bool,
    /// Whether labels are looked for in lower case.
    lower_labels: bool,
}

/// A condition, as it was sent.
#[derive(Debug, Clone, PartialEq)]
struct Condition {
    key: String,
    operator: String,
    values: Vec<Value>,
    /// Whether one value was sent without a list around it.
    bare: bool,
    /// Whether the next one may hold instead; none where nothing was said.
    or: Option<bool>,
}

impl Condition {
    fn parse(sent: &Value) -> Result<Self> {
        let text = |key: &str| sent.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let joint = text("query_operator");
        let or = match joint.to_ascii_lowercase().as_str() {
            "" => None,
            "and" => Some(false),
            "or" => Some(true),
            _ => return Err(joint_refused()),
        };
        let (values, bare) = match sent.get("values") {
            Some(Value::Array(values)) => (values.clone(), false),
            Some(Value::Null) | None => (Vec::new(), false),
            Some(one) => (vec![one.clone()], true),
        };
        let (key, operator) = (text("attribute_key"), text("filter_operator"));
        Ok(Self { key, operator, values, bare, or })
    }

    fn invalid_value(&self) -> Error {
        Error::Unprocessable(format!(
            "Invalid value. The values provided for {} are invalid",
            self.key
        ))
    }

    /// The values as texts; there must be some where the operator takes any. A blank one is one in a list.
    fn texts(&self, operator: Operator) -> Result<Vec<String>> {
        if !operator.takes_values() {
            return Ok(Vec::new());
        }
        let text = |value: &Value| match value {
            Value::String(text) if !self.bare || !text.trim().is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        };
        let texts: Option<Vec<String>> = self.values.iter().map(text).collect();
        texts
            .filter(|texts| (1..=VALUES).contains(&texts.len()))
            .filter(|texts| texts.iter().all(|text| text.chars().nth(LONG).is_none()))
            .ok_or_else(|| self.invalid_value())
    }
}

fn joint_refused() -> Error {
    Error::Unprocessable("Query operator must be either \"AND\" or \"OR\".".to_owned())
}

fn operator_refused(key: &str, allowed: &[Operator]) -> Error {
    let allowed: Vec<&str> = allowed.iter().map(|operator| operator.name()).collect();
    Error::Unprocessable(format!(
        "Invalid operator. The allowed operators for {key} are [{}].",
        allowed.join(",")
    ))
}

/// Goes on with ` and (conditions)`; with nothing where there are none.
///
/// # Errors
/// [`Error::Unprocessable`] for conditions that make no sense, in Chatwoot's words.
pub fn compose(
    query: &mut Composed,
    model: &Model,
    definitions: &[Definition],
    sent: &[Value],
    now: Timestamp,
) -> Result<()> {
    if sent.len() > CONDITIONS {
        return Err(Error::Unprocessable(format!("payload: at most {CONDITIONS} conditions")));
    }
    let conditions = sent.iter().map(Condition::parse).collect::<Result<Vec<_>>>()?;
    if conditions.iter().map(|condition| condition.values.len()).sum::<usize>() > VALUES {
        return Err(Error::Unprocessable(format!("payload: at most {VALUES} values")));
    }
    let Some((last, others)) = conditions.split_last() else { return Ok(()) };
    if last.or.is_some() {
        let text = "query_operator: the last condition is joined with none";
        return Err(Error::Unprocessable(text.to_owned()));
    }
    query.push(" and (");
    for condition in others {
        one(query, model, definitions, condition, now)?;
        query.push(if condition.or.ok_or_else(joint_refused)? { " or " } else { " and " });
    }
    one(query, model, definitions, last, now)?;
    query.push(") ");
    Ok(())
}

fn one(
    query: &mut Composed,
    model: &Model,
    definitions: &[Definition],
    condition: &Condition,
    now: Timestamp,
) -> Result<()> {
    let built_in = model.attributes.iter().find(|attribute| attribute.key == condition.key);
    let operators = built_in.map_or(Operator::ALL, |attribute| attribute.operators);
    let definition = definitions.iter().find(|of| of.attribute_key == condition.key);
    if built_in.is_none() && definition.is_none() {
        let keys: Vec<&str> = model.attributes.iter().map(|attribute| attribute.key).collect();
        return Err(Error::Unprocessable(format!(
            "Invalid attribute key - [{}]. The key should be one of [{}] or a custom attribute defined in the account.",
            condition.key,
            keys.join(",")
        )));
    }
    let operator = operators
        .iter()
        .copied()
        .find(|operator| operator.name() == condition.operator)
        .ok_or_else(|| operator_refused(&condition.key, operators))?;
    let mut texts = condition.texts(operator)?;
    if model.first_value_alone && matches!(operator, Operator::EqualTo | Operator::NotEqualTo) {
        texts.truncate(1);
    }
    if model.lower_labels && matches!(built_in.map(|of| of.kept), Some(Kept::Labels(_))) {
        texts = texts.iter().map(|text| text.to_lowercase()).collect();
    }
    let comparison = Comparison { condition, operator, texts, now };
    query.push("(");
    match (built_in, definition) {
        (Some(attribute), _) => comparison.built_in(query, attribute.kept)?,
        (None, Some(of)) => comparison.custom(query, model.custom, of)?,
        (None, None) => {}
    }
    query.push(")");
    Ok(())
}

/// A condition that is known to make sense but for its values.
struct Comparison<'a> {
    condition: &'a Condition,
    operator: Operator,
    texts: Vec<String>,
    now: Timestamp,
}

/// What a text comparison looks at.
#[derive(Clone, Copy)]
enum Place<'a> {
    Column(&'static str),
    /// A document, and a key in it.
    Within(&'static str, &'a str),
}

impl Place<'_> {
    fn push(self, query: &mut Composed) {
        match self {
            Self::Column(column) => query.push(column),
            Self::Within(document, key) => {
                query.push("cast(").push(document).push(" ->> ").value(key).push(" as text)")
            }
        };
    }
}

impl Comparison<'_> {
    fn built_in(&self, query: &mut Composed, kept: Kept) -> Result<()> {
        match kept {
            Kept::Integer(column, as_text) => self.integers(query, column, as_text),
            Kept::Named(column, named) => {
                // `all` stands for every value there is.
                if self.texts.iter().any(|text| text == "all") {
                    query.push(column).push(match self.operator {
                        Operator::EqualTo => " is not null",
                        _ => " is null",
                    });
                    return Ok(());
                }
                if self.condition.bare {
                    return Err(self.invalid());
                }
                let known: Vec<i64> = self.texts.iter().filter_map(|text| named(text)).collect();
                query.push(column);
                self.listed(query, known);
                Ok(())
            }
            Kept::Text(column) => self.text(query, Place::Column(column), &self.texts),
            Kept::Phone(column) => {
                let plussed = |text: &String| {
                    let text = text.trim();
                    if text.starts_with('+') { text.to_owned() } else { format!("+{text}") }
                };
                let texts: Vec<String> = match self.operator {
                    // A part of a number need not begin it.
                    Operator::Contains | Operator::DoesNotContain => self.texts.clone(),
                    _ => self.texts.iter().map(plussed).collect(),
                };
                self.text(query, Place::Column(column), &texts)
            }
            Kept::Flag(column) => {
                let flag = self.flag()?;
                query.push(column).push(" = ").value(flag);
                Ok(())
            }
            Kept::Labels(column) => {
                match self.operator {
                    Operator::IsPresent => {
                        query.push("cast(").push(column).push(" as text) <> '[]'")
                    }
                    Operator::IsNotPresent => {
                        query.push("cast(").push(column).push(" as text) = '[]'")
                    }
                    Operator::NotEqualTo => {
                        query.push("not ").holds_any(column, self.texts.clone())
                    }
                    _ => query.holds_any(column, self.texts.clone()),
                };
                Ok(())
            }
            Kept::Moment(column) => self.moment(query, column),
        }
    }

    fn custom(&self, query: &mut Composed, document: &'static str, of: &Definition) -> Result<()> {
        let place = Place::Within(document, &of.attribute_key);
        if !self.operator.takes_values() {
            place.push(query);
            query.push(match self.operator {
                Operator::IsPresent => " is not null",
                _ => " is null",
            });
            return Ok(());
        }
        // What is missing is nothing else either.
        if self.operator == Operator::NotEqualTo {
            place.push(query);
            query.push(" is null or ");
        }
        let holds = matches!(self.operator, Operator::Contains | Operator::DoesNotContain);
        match of.attribute_display_type {
            DisplayType::Number | DisplayType::Date if holds => Err(self.invalid()),
            DisplayType::Text | DisplayType::Link | DisplayType::List => {
                self.text(query, place, &self.texts)
            }
            DisplayType::Number | DisplayType::Currency | DisplayType::Percent => {
                self.number(query, place, document, &of.attribute_key)
            }
            DisplayType::Date => self.date(query, place),
            DisplayType::Checkbox => {
                let words = if self.flag()? { TICKED } else { UNTICKED };
                query.push("fold(");
                place.push(query);
                query.push(")").any_of(words.map(str::to_owned).to_vec());
                Ok(())
            }
        }
    }

    fn invalid(&self) -> Error {
        self.condition.invalid_value()
    }

    /// The first value as a truth value; the opposite where it must not be that.
    fn flag(&self) -> Result<bool> {
        let wanted = match self.texts.first().map(|text| text.to_ascii_lowercase()).as_deref() {
            Some("true" | "1" | "t") => true,
            Some("false" | "0" | "f") => false,
            _ => return Err(self.invalid()),
        };
        match self.operator {
            Operator::EqualTo => Ok(wanted),
            Operator::NotEqualTo => Ok(!wanted),
            _ => Err(self.invalid()),
        }
    }

    /// The first value as a day.
    fn day(&self) -> Result<Timestamp> {
        let text = self.texts.first().map_or("", String::as_str);
        let day =
            text.get(..10).filter(|_| text.len() == 10 || text.as_bytes().get(10) == Some(&b'T'));
        day.and_then(|day| Timestamp::parse_iso(&format!("{day}T00:00:00Z")))
            .ok_or_else(|| self.invalid())
    }

    /// The day that the first value is that many days before.
    fn days_ago(&self) -> Result<Timestamp> {
        let days = self.texts.first().and_then(|text| text.trim().parse::<i64>().ok());
        let days = days.filter(|days| (0..=1_000_000).contains(days));
        let days = days.ok_or_else(|| self.invalid())?;
        let today = self.now.micros() - self.now.micros().rem_euclid(DAY);
        Ok(Timestamp::from_micros(today - days * DAY))
    }

    /// Goes on with ` = any` or ` <> all` of them.
    fn listed(&self, query: &mut Composed, values: Vec<i64>) {
        query.push(" ");
        match self.operator {
            Operator::NotEqualTo => query.none_of(values),
            _ => query.any_of(values),
        };
    }

    fn integers(
        &self,
        query: &mut Composed,
        column: &'static str,
        as_text: &'static str,
    ) -> Result<()> {
        match self.operator {
            Operator::IsPresent => query.push(column).push(" is not null"),
            Operator::IsNotPresent => query.push(column).push(" is null"),
            Operator::EqualTo | Operator::NotEqualTo => {
                let parsed: Option<Vec<i64>> =
                    self.texts.iter().map(|text| text.trim().parse().ok()).collect();
                let values = parsed.ok_or_else(|| self.invalid())?;
                query.push(column);
                self.listed(query, values);
                query
            }
            _ => return self.text(query, Place::Column(as_text), &self.texts),
        };
        Ok(())
    }

    /// Case does not matter. What is no text is compared with none.
    fn text(&self, query: &mut Composed, place: Place<'_>, texts: &[String]) -> Result<()> {
        let pattern = match self.operator {
            Operator::EqualTo | Operator::NotEqualTo => pattern::literal,
            Operator::Contains | Operator::DoesNotContain => pattern::holding_loosely,
            Operator::StartsWith => |text: &str| format!("{}%", pattern::literal(text)),
            _ => return Err(self.invalid()),
        };
        if !self.condition.values.iter().take(texts.len()).all(Value::is_string) {
            return Err(self.invalid());
        }
        if matches!(self.operator, Operator::NotEqualTo | Operator::DoesNotContain) {
            query.push("not ");
        }
        query.push("(");
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                query.push(" or ");
            }
            query.push("fold(cast(");
            place.push(query);
            query.push(" as text)) like ");
            query.value(pattern(text)).push(" escape '!'");
        }
        query.push(")");
        Ok(())
    }

    fn moment(&self, query: &mut Composed, column: &'static str) -> Result<()> {
        query.push(column);
        match self.operator {
            Operator::IsGreaterThan => query.push(" >= ").value(self.day()?.plus_micros(DAY)),
            Operator::IsLessThan => query.push(" < ").value(self.day()?),
            Operator::DaysBefore => query.push(" < ").value(self.days_ago()?),
            _ => return Err(self.invalid()),
        };
        Ok(())
    }

    /// Custom numbers; texts that are numbers count.
    fn number(
        &self,
        query: &mut Composed,
        place: Place<'_>,
        document: &'static str,
        key: &str,
    ) -> Result<()> {
        let sign = match self.operator {
            Operator::EqualTo | Operator::NotEqualTo => " = ",
            Operator::IsGreaterThan => " > ",
            Operator::IsLessThan => " < ",
            Operator::DaysBefore => return Err(self.invalid()),
            _ => return self.text(query, place, &self.texts),
        };
        let parsed = self.texts.iter().map(|text| text.trim().parse::<f64>().ok());
        let values: Option<Vec<f64>> =
            parsed.map(|value| value.filter(|v| v.is_finite())).collect();
        let mut values = values.ok_or_else(|| self.invalid())?;
        if matches!(self.operator, Operator::IsGreaterThan | Operator::IsLessThan) {
            values.truncate(1);
        }
        query.push(if self.operator == Operator::NotEqualTo { "not (" } else { "(" });
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                query.push(" or ");
            }
            query.number(document, key).push(sign).value(value);
        }
        query.push(")");
        Ok(())
    }

    /// Custom days: kept as texts, with or without a time of the day.
    fn date(&self, query: &mut Composed, place: Place<'_>) -> Result<()> {
        let (sign, day) = match self.operator {
            Operator::EqualTo => (" = ", self.day()?),
            Operator::NotEqualTo => (" <> ", self.day()?),
            Operator::IsGreaterThan => (" > ", self.day()?),
            Operator::IsLessThan => (" < ", self.day()?),
            Operator::DaysBefore => (" < ", self.days_ago()?),
            _ => return self.text(query, place, &self.texts),
        };
        query.push("substr(");
        place.push(query);
        let day: String = day.iso().chars().take(10).collect();
        query.push(", 1, 10)").push(sign).value(day);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chatwarden_db::Engine;
    use serde_json::json;

    use super::*;

    fn composed(model: &Model, sent: &Value) -> Result<(String, usize)> {
        let mut query = Composed::default();
        let now = Timestamp::from_unix(86_400 * 10 + 5);
        compose(&mut query, model, &[], sent.as_array().unwrap(), now)?;
        Ok((query.text(Engine::Postgres), query.args().len()))
    }

    #[test]
    fn puts_conditions_together() {
        let check = |sent: Value, text: &str| {
            assert_eq!(composed(&CONTACTS, &sent).unwrap().0, text, "{sent}");
        };
        check(json!([]), "");
        check(
            json!([
                {"attribute_key": "name", "filter_operator": "contains", "values": ["a", "b"], "query_operator": "AND"},
                {"attribute_key": "blocked", "filter_operator": "equal_to", "values": [true], "query_operator": "or"},
                {"attribute_key": "labels", "filter_operator": "is_present"},
            ]),
            " and (((fold(cast(ct.name as text)) like $1 escape '!' or fold(cast(ct.name as text)) like $2 escape '!')) and \
             (ct.blocked = $3) or (cast(ct.labels as text) <> '[]')) ",
        );
        check(
            json!([{"attribute_key": "created_at", "filter_operator": "days_before", "values": [3]}]),
            " and ((ct.created_at < $1)) ",
        );
    }

    #[test]
    fn says_what_makes_no_sense() {
        let check = |sent: Value, fault: &str| {
            let refused = composed(&CONTACTS, &sent).unwrap_err().to_string();
            assert!(refused.starts_with(fault), "{refused}");
        };
        check(
            json!([{"attribute_key": "shoe_size"}]),
            "Invalid attribute key - [shoe_size]. The key should be one of [name,",
        );
        check(
            json!([{"attribute_key": "name", "filter_operator": "is_present"}]),
            "Invalid operator. The allowed operators for name are [equal_to,not_equal_to,contains,does_not_contain].",
        );
        let long = json!(["x".repeat(1501)]);
        assert!(
            composed(
                &CONTACTS,
                &json!([{"attribute_key": "name", "filter_operator": "equal_to", "values": [""]}])
            )
            .is_ok()
        );
        for values in [json!([]), json!(""), json!([null]), json!([{}]), json!([5]), long] {
            check(
                json!([{"attribute_key": "name", "filter_operator": "equal_to", "values": values}]),
                "Invalid value. The values provided for name are invalid",
            );
        }
        for day in ["yesterday", "2020-13-01", "2020-01-01x", ""] {
            check(
                json!([{"attribute_key": "created_at", "filter_operator": "is_less_than", "values": [day]}]),
                "Invalid value. The values provided for created_at are invalid",
            );
        }
        let joints = json!([
            {"attribute_key": "name", "filter_operator": "equal_to", "values": ["a"], "query_operator": "xor"}
        ]);
        check(joints, "Query operator must be");
        let apart = json!([
            {"attribute_key": "name", "filter_operator": "equal_to", "values": ["a"]},
            {"attribute_key": "name", "filter_operator": "equal_to", "values": ["b"]},
        ]);
        check(apart, "Query operator must be");
        check(Value::Array(vec![json!({}); 101]), "payload: at most 100");
    }
}
