//! Which tenants have series of their own (`METRICS_TENANT_LABEL`). The code always says whose something is, by
//! the label `tenant`; every tenant would be too many series, so that the largest are named, all others are
//! `other`, and nobody is told unless an operator wants it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use metrics::{Key, Label, SharedString};
use parking_lot::RwLock;

/// The label.
const TENANT: &str = "tenant";
/// What all are called that are not named.
const OTHER: &str = "other";

/// The tenants that are named; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Tenants(Arc<RwLock<BTreeSet<String>>>);

impl Tenants {
    /// Names these, and no others.
    pub fn name(&self, tenants: impl IntoIterator<Item = String>) {
        *self.0.write() = tenants.into_iter().collect();
    }

    fn told(&self, tenant: &str) -> Label {
        let named = self.0.read().contains(tenant);
        let value = if named { tenant.to_owned().into() } else { SharedString::const_str(OTHER) };
        Label::new(TENANT, value)
    }
}

/// The key under which a series is kept: with as much of its tenant as is to be told.
pub(super) fn kept<'a>(tenants: Option<&Tenants>, key: &'a Key) -> Cow<'a, Key> {
    if key.labels().all(|label| label.key() != TENANT) {
        return Cow::Borrowed(key);
    }
    let labels: Vec<Label> = key
        .labels()
        .filter_map(|label| match label.key() {
            TENANT => tenants.map(|tenants| tenants.told(label.value())),
            _ => Some(label.clone()),
        })
        .collect();
    Cow::Owned(Key::from_parts(key.name().to_owned(), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_named_and_nobody_unless_wanted() {
        let tenants = Tenants::default();
        let seen = |tenants: Option<&Tenants>, tenant: &'static str| {
            let labels = vec![Label::new("channel", "x"), Label::new(TENANT, tenant)];
            let key = Key::from_parts("m", labels);
            let kept = kept(tenants, &key).into_owned();
            kept.labels().map(|label| label.value().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(seen(None, "3"), "x");
        for (largest, expected) in [("3", ["x 3", "x other"]), ("4", ["x other", "x 4"])] {
            tenants.name([largest.to_owned()]);
            assert_eq!(["3", "4"].map(|tenant| seen(Some(&tenants), tenant)), expected);
        }
    }
}
