//! Groups of health that operators make, or change.

use std::collections::BTreeMap;

use super::Show;
use crate::config::setting::{Named, Setting};
use crate::config::source::{Read, Reader};
use crate::config::value::Value;

/// The ends of the variables, with the keys in the file.
const PARTS: [(&str, &str); 3] =
    [("_INCLUDE", "include"), ("_EXCLUDE", "exclude"), ("_SHOW_DETAILS", "show_details")];

/// What is said of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its members, besides those it has by itself.
    pub include: Vec<String>,
    /// What is no member of it.
    pub exclude: Vec<String>,
    /// Who sees its details, instead of `HEALTH_SHOW_DETAILS`.
    pub show_details: Option<Show>,
}

/// The groups by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(pub BTreeMap<String, Group>);

static NAMED: Named = Named {
    example: "OPS_INCLUDE",
    told: "`OPS_INCLUDE`, `OPS_EXCLUDE` and `OPS_SHOW_DETAILS` for the group `ops`, \
           `include`, `exclude` and `show_details` of its table in the file",
    of_variable: |end| {
        PARTS.iter().find_map(|(suffix, part)| {
            let name = end.strip_suffix(suffix)?.to_ascii_lowercase().replace('_', "-");
            is_name(&name).then(|| format!("{name}.{part}"))
        })
    },
    of_key: |member| {
        let (name, part) = member.split_once('.')?;
        let (suffix, _) = PARTS.iter().find(|(_, known)| *known == part)?;
        let variable = name.to_ascii_uppercase().replace('-', "_");
        is_name(name).then(|| format!("{variable}{suffix}"))
    },
};

/// It becomes part of a path.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl Read for Groups {
    const MEMBERS: Option<&'static [&'static str]> = None;
    const NAMED: Option<&'static Named> = Some(&NAMED);

    fn form() -> String {
        format!(
            "for `…INCLUDE` and `…EXCLUDE` a list, separated by commas, of components, or `*`; \
             for `…SHOW_DETAILS` {}",
            <Show as Value>::form()
        )
    }

    fn shown(text: &str) -> String {
        text.to_owned()
    }

    fn read(reader: &mut Reader<'_>, setting: &'static Setting) -> Option<Self> {
        let mut groups = Self::default();
        let mut whole = true;
        for (member, variable, given) in reader.named(setting, &NAMED) {
            let Some((name, part)) = member.split_once('.') else { continue };
            let group = groups.0.entry(name.to_owned()).or_default();
            let read = match part {
                "include" => reader.parse(setting, &variable, &given).map(|it| group.include = it),
                "exclude" => reader.parse(setting, &variable, &given).map(|it| group.exclude = it),
                _ => reader.parse(setting, &variable, &given).map(|it| group.show_details = it),
            };
            whole &= read.is_some();
        }
        whole.then_some(groups)
    }
}
