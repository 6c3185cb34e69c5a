//! Names for those who have given none.

use chatwarden_db::Tx;

/// A name for somebody who has not given one: `snowy-waterfall-311`.
pub fn some_name(tx: &Tx<'_>) -> String {
    const HOW: [&str; 16] = [
        "autumn", "bold", "calm", "crimson", "dawn", "frosty", "gentle", "golden", "misty",
        "quiet", "silent", "snowy", "spring", "still", "summer", "wild",
    ];
    const WHAT: [&str; 16] = [
        "breeze",
        "brook",
        "cloud",
        "dew",
        "field",
        "fire",
        "forest",
        "lake",
        "leaf",
        "meadow",
        "moon",
        "river",
        "sea",
        "star",
        "sunset",
        "waterfall",
    ];
    let [how, what, high, low] = tx.ambient().bytes::<4>();
    let of = |words: &[&'static str; 16], byte: u8| {
        words.get(usize::from(byte % 16)).copied().unwrap_or_default()
    };
    let number = (u16::from_be_bytes([high, low])) % 1000;
    format!("{}-{}-{number}", of(&HOW, how), of(&WHAT, what))
}
