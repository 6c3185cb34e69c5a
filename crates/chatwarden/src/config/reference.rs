//! The reference for operators, made from the catalogue.

use std::fmt::Write as _;

use super::setting::{Fallback, Setting};
use super::source::member_variable;
use super::{DEFAULT_FILE, Effects, FILE_VARIABLE, SECTIONS};

/// The page `docs/reference/configuration.md`.
#[must_use]
pub fn render() -> String {
    let mut page = format!(
        "# Configuration\n\n\
         Generated from the declarations in `crates/chatwarden/src/config/sections`; do not \
         edit.\n\n\
         Every setting can be given as an environment variable, or as a key of the configuration \
         file (TOML), in the table of its part: `[server]`, then `listen = \"0.0.0.0:3000\"`. A few \
         can be given on the command line. The command line wins over the environment, the \
         environment over the file, the file over the default. An empty value counts as not set.\n\n\
         The file is the one named by `--config`, else by `{FILE_VARIABLE}`, else \
         `{DEFAULT_FILE}` in the working directory if there is one. A key no setting has stops the \
         start, and so does a wrong value; all that is wrong is told at once.\n"
    );
    let effects = Effects::default();
    for section in SECTIONS {
        let Some(first) = section.first() else {
            continue;
        };
        let _ = write!(page, "\n## `[{}]`\n", first.section);
        for setting in *section {
            entry(&mut page, setting, &effects);
        }
    }
    page
}

fn entry(page: &mut String, setting: &Setting, effects: &Effects) {
    let placeholder = if setting.is_family() { "…" } else { "" };
    let description: Vec<&str> = setting.description.lines().map(str::trim).collect();
    let _ = write!(
        page,
        "\n### `{}{placeholder}`\n\n{}\n\n- Key: `{}`\n- Form: {}\n",
        setting.name,
        description.join("\n"),
        setting.key(),
        (setting.form)(),
    );
    let _ = match setting.default {
        Fallback::Absent => writeln!(page, "- Default: none"),
        Fallback::Text(text) => writeln!(page, "- Default: `{text}`"),
        Fallback::Computed { told, .. } => writeln!(page, "- Default: {told}"),
    };
    let _ = writeln!(page, "- Example: `{}={}`", setting.example_name(), setting.example);
    if !effects.has(setting, setting.name) {
        let _ = writeln!(page, "- Not in effect yet: what acts on it is not built");
    }
    if !setting.aliases.is_empty() {
        let _ = writeln!(page, "- Also read: `{}`", setting.aliases.join("`, `"));
    }
    if let Some(members) = setting.members {
        let names = members.iter().map(|it| format!("{}{}", setting.name, member_variable(it)));
        let (met, unmet): (Vec<_>, Vec<_>) = names.partition(|name| effects.has(setting, name));
        let list = |names: &[String]| {
            let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            quoted.join(", ")
        };
        let _ = writeln!(page, "- One for each of: {}", list(&met));
        if !unmet.is_empty() {
            let told = "Not in effect yet, for there is no route that they would be met on";
            let _ = writeln!(page, "- {told}: {}", list(&unmet));
        }
    }
    if let Some(named) = setting.named {
        let _ = writeln!(page, "- Named by you: {}", named.told);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_is_current() {
        chatwarden_testkit::golden("docs/reference/configuration.md", &super::render());
    }
}
