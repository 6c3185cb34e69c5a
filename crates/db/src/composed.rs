//! Texts put together at run time: lists with filters and orders that clients choose.
//!
//! Only static fragments and bound values go in, so that what a client sends is never part of a
//! text. Fragments are in the dialect of [statements](crate::statement).

use crate::statement::render;
use crate::{Engine, ToValue, Value};

/// A text made of static fragments, and its values.
#[derive(Debug, Clone, Default)]
pub struct Composed {
    text: String,
    args: Vec<Value>,
}

impl Composed {
    /// Nothing yet, with values that fragments may name: `$1` is the first of `args`. PostgreSQL
    /// wants each to be named at least once.
    pub fn new(args: impl Into<Vec<Value>>) -> Self {
        Self { text: String::with_capacity(2048), args: args.into() }
    }

    /// Goes on with a fragment.
    pub fn push(&mut self, fragment: &'static str) -> &mut Self {
        self.text.push_str(fragment);
        self
    }

    /// The same after a fragment: what is chosen, before where it comes from.
    #[must_use]
    pub fn after(mut self, fragment: &'static str) -> Self {
        self.text.insert_str(0, fragment);
        self
    }

    /// Goes on with a value.
    pub fn value(&mut self, value: impl ToValue) -> &mut Self {
        let number = self.bind(value);
        self.text.push_str(&format!("${number}"));
        self
    }

    /// Goes on with `= any of` the values of a list.
    pub fn any_of(&mut self, list: impl ToValue) -> &mut Self {
        let number = self.bind(list);
        self.text.push_str(&format!(" @in(${number}) "));
        self
    }

    /// Goes on with `<> all of` the values of a list.
    pub fn none_of(&mut self, list: impl ToValue) -> &mut Self {
        let number = self.bind(list);
        self.text.push_str(&format!(" @not_in(${number}) "));
        self
    }

    /// Goes on with whether a document that is a list of texts holds one of the values of a list.
    pub fn holds_any(&mut self, document: &'static str, list: impl ToValue) -> &mut Self {
        let number = self.bind(list);
        self.text.push_str(&format!(" @any_in({document}, ${number}) "));
        self
    }

    /// Goes on with the number that a document has under a key, null where it is none.
    pub fn number(&mut self, document: &'static str, key: &str) -> &mut Self {
        let number = self.bind(key);
        self.text.push_str(&format!(" @number({document}, ${number}) "));
        self
    }

    fn bind(&mut self, value: impl ToValue) -> usize {
        self.args.push(value.to_value());
        self.args.len()
    }

    /// The text as `engine` takes it.
    pub fn text(&self, engine: Engine) -> String {
        render(&self.text, engine)
    }

    /// The values.
    pub fn args(&self) -> &[Value] {
        &self.args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_values_after_those_it_began_with() {
        let mut text = Composed::new(vec![Value::Int(7)]);
        text.push("select 1 from a where account_id = $1 and b = ").value("x").push(" and c");
        text.any_of(vec![1_i64, 2]).push("and d").none_of(vec![3_i64]);
        assert_eq!(
            text.text(Engine::Postgres),
            "select 1 from a where account_id = $1 and b = $2 and c = any($3) and d <> all($4) "
        );
        assert_eq!(
            text.text(Engine::Sqlite),
            "select 1 from a where account_id = ?1 and b = ?2 and c in (select value from json_each(?3)) \
             and d not in (select value from json_each(?4)) "
        );
        assert_eq!(text.args().len(), 4);
    }
}
