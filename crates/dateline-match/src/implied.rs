//! The state that a name without a place implies by its language: a ministry of defence in Hebrew is Israel's.

use crate::fold::{Script, Token};

/// Languages that are written in one state, or mostly so.
const BY_LANGUAGE: [(&str, &str); 30] = [
    ("kk", "KZ"),
    ("uk", "UA"),
    ("be", "BY"),
    ("ky", "KG"),
    ("uz", "UZ"),
    ("tg", "TJ"),
    ("tk", "TM"),
    ("az", "AZ"),
    ("pl", "PL"),
    ("cs", "CZ"),
    ("sk", "SK"),
    ("hu", "HU"),
    ("bg", "BG"),
    ("sr", "RS"),
    ("tr", "TR"),
    ("it", "IT"),
    ("fi", "FI"),
    ("sv", "SE"),
    ("da", "DK"),
    ("no", "NO"),
    ("nb", "NO"),
    ("vi", "VN"),
    ("fa", "IR"),
    ("el", "GR"),
    ("he", "IL"),
    ("ja", "JP"),
    ("ka", "GE"),
    ("hy", "AM"),
    ("th", "TH"),
    ("ko", "KR"),
];

/// The state whose bodies are named in this language, where there is one.
pub fn implied_state(tokens: &[Token], language: &str) -> Option<&'static str> {
    let language = language.split('-').next().unwrap_or_default();
    if let Some((_, code)) = BY_LANGUAGE.iter().find(|(it, _)| *it == language) {
        return Some(code);
    }
    let scripts: Vec<Script> = tokens.iter().map(|it| it.script).collect();
    let has = |script| scripts.contains(&script);
    let text: String = tokens.iter().map(|it| it.text.as_str()).collect();
    match () {
        () if has(Script::Greek) => Some("GR"),
        () if has(Script::Hebrew) => Some("IL"),
        () if has(Script::Georgian) => Some("GE"),
        () if has(Script::Armenian) => Some("AM"),
        () if has(Script::Thai) => Some("TH"),
        () if has(Script::Hangul) => Some("KR"),
        () if has(Script::Kana) => Some("JP"),
        () if has(Script::Devanagari) => Some("IN"),
        () if text.contains(['қ', 'ұ', 'ғ', 'ә']) => Some("KZ"),
        () if text.contains(['і', 'ї', 'є', 'ґ']) => Some("UA"),
        () if text.contains(['ў']) => Some("BY"),
        () if text.contains(['ł', 'ą', 'ę']) => Some("PL"),
        () => None,
    }
}
