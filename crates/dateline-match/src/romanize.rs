//! Latin letters for words of any script, as newspapers would write them. One table for most scripts (`any_ascii`), and
//! rules of our own where it knows no language: Greek, Arabic, Hebrew, Thai, Korean, marks of Latin alphabets.

use crate::fold::{Script, Token, without_article};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Latin letters for the word, as newspapers would write it.
pub fn romanize(token: &Token) -> String {
    let text = token.text.as_str();
    let ascii = match token.script {
        Script::Greek => any_ascii::any_ascii(&greek(text)),
        Script::Arabic => letters(without_article(text), arabic),
        Script::Hebrew => letters(text, hebrew),
        Script::Thai => thai(text),
        Script::Devanagari => any_ascii::any_ascii(&text.replace('ं', "न्")),
        Script::Latin => any_ascii::any_ascii(&latin(text)),
        _ => any_ascii::any_ascii(text),
    };
    let mut lower = ascii.to_lowercase();
    if token.script == Script::Hangul {
        lower = korean(&lower);
    }
    lower.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Vowels of Korean as most newspapers write them.
pub fn korean(ascii: &str) -> String {
    let vowels = ascii.replace("eo", "o").replace("eu", "u");
    vowels
        .strip_prefix('l')
        .map_or(vowels.clone(), |rest| format!("r{rest}"))
}

fn letters(text: &str, table: fn(char) -> &'static str) -> String {
    text.chars().map(table).collect()
}

/// Letters of Latin alphabets whose marks change the consonant.
fn latin(text: &str) -> String {
    let spelled: String = text.nfc().collect();
    spelled
        .replace(['š', 'ş', 'ș'], "sh")
        .replace(['č', 'ć'], "ch")
        .replace('ž', "zh")
        .replace('đ', "d")
        .replace('ţ', "ts")
        .replace('ə', "e")
        .replace('ř', "r")
}

fn greek(text: &str) -> String {
    let bare: String = text.nfd().filter(|it| !is_combining_mark(*it)).collect();
    let starts = [("μπ", "b"), ("ντ", "d"), ("γκ", "g")];
    let bare = starts.iter().fold(bare, |text, (from, to)| {
        text.strip_prefix(from)
            .map_or(text.clone(), |rest| format!("{to}{rest}"))
    });
    let pairs = [
        ("μπ", "b"),
        ("ντ", "nd"),
        ("γκ", "g"),
        ("γγ", "ng"),
        ("ευ", "ev"),
        ("αυ", "av"),
        ("ου", "u"),
        ("οι", "i"),
        ("ει", "i"),
        ("αι", "e"),
        ("χ", "kh"),
        ("η", "i"),
        ("υ", "i"),
    ];
    pairs
        .iter()
        .fold(bare, |text, (from, to)| text.replace(from, to))
}

fn arabic(found: char) -> &'static str {
    match found {
        'ا' | 'ة' | 'ع' => "a",
        'ب' => "b",
        'ت' | 'ط' => "t",
        'ث' => "th",
        'ج' => "j",
        'ح' | 'ه' => "h",
        'خ' => "kh",
        'د' | 'ض' => "d",
        'ذ' => "dh",
        'ر' => "r",
        'ز' | 'ظ' => "z",
        'س' | 'ص' => "s",
        'ش' => "sh",
        'غ' => "gh",
        'ف' => "f",
        'ق' => "q",
        'ك' => "k",
        'ل' => "l",
        'م' => "m",
        'ن' => "n",
        'و' | 'ؤ' => "w",
        'ي' | 'ئ' => "y",
        'پ' => "p",
        'چ' => "ch",
        'ژ' => "zh",
        'گ' => "g",
        _ => "",
    }
}

fn hebrew(found: char) -> &'static str {
    match found {
        'א' | 'ע' => "a",
        'ב' => "b",
        'ג' => "g",
        'ד' => "d",
        'ה' => "h",
        'ו' => "w",
        'ז' => "z",
        'ח' => "kh",
        'ט' | 'ת' => "t",
        'י' => "y",
        'כ' | 'ך' | 'ק' => "k",
        'ל' => "l",
        'מ' | 'ם' => "m",
        'נ' | 'ן' => "n",
        'ס' => "s",
        'פ' | 'ף' => "p",
        'צ' | 'ץ' => "ts",
        'ר' => "r",
        'ש' => "sh",
        _ => "",
    }
}

/// The general system of Thailand, without the rules for unwritten vowels: those count for little.
fn thai(text: &str) -> String {
    let all: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut held = "";
    for (at, found) in all.iter().enumerate() {
        // A consonant under this mark, or under a vowel under it, is silent.
        let is_silent = all.get(at + 1) == Some(&'\u{E4C}')
            || all.get(at + 2) == Some(&'\u{E4C}') && matches!(all[at + 1], '\u{E34}'..='\u{E39}');
        let is_before_vowel = all
            .get(at + 1)
            .is_some_and(|it| matches!(it, '\u{E30}'..='\u{E3A}'));
        let consonant = match found {
            _ if is_silent => continue,
            'ก' | 'ข' | 'ฃ' | 'ค' | 'ฅ' | 'ฆ' => "k",
            'ง' => "ng",
            'จ' | 'ฉ' | 'ช' | 'ฌ' => "ch",
            'ซ' | 'ศ' | 'ษ' | 'ส' => "s",
            'ญ' if !is_before_vowel => "n",
            'ญ' | 'ย' => "y",
            'ฎ' | 'ด' => "d",
            'ฏ' | 'ฐ' | 'ฑ' | 'ฒ' | 'ต' | 'ถ' | 'ท' | 'ธ' => "t",
            'ณ' | 'น' => "n",
            'บ' => "b",
            'ป' | 'ผ' | 'พ' | 'ภ' => "p",
            'ฝ' | 'ฟ' => "f",
            'ม' => "m",
            'ร' => "r",
            'ล' | 'ฬ' => "l",
            'ว' => "w",
            'ห' | 'ฮ' => "h",
            'อ' => "o",
            _ => "",
        };
        let vowel = match found {
            'ะ' | 'ั' | 'า' => "a",
            'ิ' | 'ี' => "i",
            'ึ' | 'ื' | 'ุ' | 'ู' => "u",
            'ํ' => "m",
            _ => "",
        };
        match found {
            'เ' => held = "e",
            'แ' => held = "ae",
            'โ' => held = "o",
            'ใ' | 'ไ' => held = "ai",
            _ if !consonant.is_empty() => {
                out.push_str(consonant);
                out.push_str(std::mem::take(&mut held));
            }
            _ => out.push_str(vowel),
        }
    }
    out
}
