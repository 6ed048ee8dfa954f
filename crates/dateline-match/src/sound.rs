//! The sound of words, near enough to compare them across scripts and ways of writing: a sequence of phones, a distance
//! between two sequences, and the consonants alone as a key. No list of names.

use crate::{
    fold::{Script, Token},
    romanize::{korean, romanize},
};

/// The trust that the vowels of a word deserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vowels {
    /// All are written.
    Written,
    /// Some are: abugidas.
    Some,
    /// Almost none are: Arabic, Hebrew.
    Few,
    /// More than are heard: Kana.
    Extra,
}

/// The sound of one word.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// ASCII letters of the usual romanisation.
    pub ascii: String,
    /// One letter a phone; capitals are sounds that ASCII writes with several.
    pub phones: Vec<u8>,
    /// The trust that its vowels deserve.
    pub vowels: Vowels,
    /// Phones of each syllable, for Han and Hangul.
    pub syllables: Vec<Vec<u8>>,
}

impl Sound {
    /// The sound of a folded word.
    pub fn of(token: &Token) -> Self {
        let ascii = romanize(token);
        let syllables = match token.script {
            Script::Han | Script::Hangul => {
                let mut buffer = [0; 4];
                let each = token.text.chars();
                each.map(|it| {
                    let ascii = any_ascii::any_ascii(it.encode_utf8(&mut buffer)).to_lowercase();
                    phones(&if token.script == Script::Hangul {
                        korean(&ascii)
                    } else {
                        ascii
                    })
                })
                .collect()
            }
            _ => Vec::new(),
        };
        let phones = phones(&ascii);
        let vowels = match token.script {
            Script::Arabic | Script::Hebrew => Vowels::Few,
            Script::Devanagari | Script::Thai => Vowels::Some,
            Script::Kana => Vowels::Extra,
            _ => Vowels::Written,
        };
        Self {
            ascii,
            phones,
            vowels,
            syllables,
        }
    }

    /// Two words as one.
    pub fn joined(&self, next: &Self) -> Self {
        let ascii = format!("{}{}", self.ascii, next.ascii);
        let mut syllables = self.syllables.clone();
        syllables.extend(next.syllables.iter().cloned());
        let is_syllabic = !self.syllables.is_empty() && !next.syllables.is_empty();
        Self {
            phones: phones(&ascii),
            ascii,
            vowels: self.vowels,
            syllables: if is_syllabic { syllables } else { Vec::new() },
        }
    }

    /// Likeness in 0..=1; symmetric.
    pub fn likeness(&self, other: &Self) -> f64 {
        if self.phones.is_empty() || other.phones.is_empty() {
            return 0.0;
        }
        match (self.syllables.len() > 1, other.syllables.len() > 1) {
            (true, false) if other.syllables.is_empty() => {
                by_syllables(&self.syllables, &other.phones)
            }
            (false, true) if self.syllables.is_empty() => {
                by_syllables(&other.syllables, &self.phones)
            }
            _ => self.by_letters(other),
        }
    }

    fn by_letters(&self, other: &Self) -> f64 {
        // Words of very different length cannot be alike where all vowels are written.
        let (one, two) = (self.phones.len(), other.phones.len());
        let is_written = self.vowels == Vowels::Written && other.vowels == Vowels::Written;
        if is_written && one.max(two) > 2 * one.min(two) + 1 {
            return 0.0;
        }
        let rules = Rules::between(self, other);
        rules.likeness(&self.phones, &other.phones)
    }

    /// Consonants folded to classes: the same for most spellings of a name in most scripts. Two where a letter is read
    /// as a vowel by some. Empty for a word without consonants.
    pub fn skeletons(&self) -> Vec<String> {
        let skeleton = |is_semivowel: bool| {
            let mut key = String::new();
            for (at, phone) in self.phones.iter().enumerate() {
                let class = match phone {
                    b'w' | b'j' if is_semivowel => continue,
                    b'c' if is_semivowel => 'k',
                    b'b' | b'v' | b'p' | b'f' | b'w' => 'p',
                    b'd' | b't' => 't',
                    b'k' | b'g' | b'q' | b'X' => 'k',
                    b's' | b'z' | b'S' | b'Z' | b'C' | b'J' | b'T' | b'x' | b'c' | b'j' => 's',
                    b'l' | b'r' => 'r',
                    b'm' => 'm',
                    b'n' | b'N' => 'n',
                    _ => continue,
                };
                if at == 0 || !key.ends_with(class) {
                    key.push(class);
                }
            }
            key
        };
        let mut both = vec![skeleton(false), skeleton(true)];
        both.dedup();
        both.retain(|key| !key.is_empty());
        both
    }
}

/// Phones of an ASCII word. Spellings of several languages at once: where a letter is read in two ways it keeps a phone
/// of its own, which is near both.
fn phones(ascii: &str) -> Vec<u8> {
    const GROUPS: [(&str, &[u8]); 40] = [
        ("tsz", b"J"),
        ("ng", b"N"),
        ("tsch", b"C"),
        ("dsch", b"J"),
        ("shch", b"S"),
        ("schtsch", b"S"),
        ("sch", b"S"),
        ("tch", b"C"),
        ("dzh", b"J"),
        ("dj", b"J"),
        ("dsh", b"J"),
        ("zh", b"Z"),
        ("sh", b"S"),
        ("ch", b"c"),
        ("cz", b"C"),
        ("sz", b"S"),
        ("kh", b"X"),
        ("gh", b"g"),
        ("ph", b"f"),
        ("th", b"t"),
        ("dh", b"d"),
        ("bh", b"b"),
        ("ts", b"T"),
        ("tz", b"T"),
        ("ck", b"k"),
        ("hs", b"x"),
        ("ou", b"u"),
        ("oo", b"u"),
        ("ee", b"i"),
        ("ie", b"i"),
        ("iy", b"i"),
        ("ii", b"i"),
        ("yi", b"i"),
        ("ij", b"i"),
        ("qu", b"k"),
        ("kn", b"n"),
        ("ae", b"e"),
        ("wh", b"w"),
        ("gj", b"J"),
        ("uu", b"u"),
    ];
    let bytes = ascii.as_bytes();
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let group = GROUPS
            .iter()
            .find(|(from, _)| rest.starts_with(from.as_bytes()));
        let (taken, found): (usize, &[u8]) = match group {
            Some((from, to)) => (from.len(), to),
            None if rest[0] == b'x' && at > 0 => (1, b"ks"),
            None => (1, &rest[..1]),
        };
        for phone in found {
            if out.last() != Some(phone) {
                out.push(*phone);
            }
        }
        at += taken;
    }
    // Silent: Sarah, Teh.
    if let [.., vowel, b'h'] = out.as_slice()
        && is_vowel(*vowel)
    {
        out.pop();
    }
    out
}

fn is_vowel(phone: u8) -> bool {
    matches!(phone, b'a' | b'e' | b'i' | b'o' | b'u')
}

/// The likeness of a word to syllables, each of which must be found in it: a given name of which one syllable differs is
/// another name.
fn by_syllables(syllables: &[Vec<u8>], word: &[u8]) -> f64 {
    const LONGEST: usize = 8;
    const STRANGE: f64 = 2.0;
    if syllables.len() > 6 || word.len() > 40 {
        return 0.0;
    }
    let rules = Rules {
        vowel: 0.7,
        soft: 0.4,
        vowels: [Vowels::Written; 2],
    };
    let mut best = vec![f64::INFINITY; word.len() + 1];
    best[0] = 0.0;
    for syllable in syllables {
        let mut next = vec![f64::INFINITY; word.len() + 1];
        for start in 0..word.len() {
            if best[start].is_infinite() {
                continue;
            }
            for end in start + 1..=word.len().min(start + LONGEST) {
                let likeness = rules.likeness(syllable, &word[start..end]);
                let penalty = if likeness < 0.5 { STRANGE } else { 0.0 };
                next[end] = next[end].min(best[start] + 1.0 - likeness + penalty);
            }
        }
        best = next;
    }
    let cost = best[word.len()] / syllables.len() as f64;
    (1.0 - cost).clamp(0.0, 1.0)
}

/// Weights for one pair of words.
struct Rules {
    vowel: f64,
    /// Weight of h, y and w.
    soft: f64,
    vowels: [Vowels; 2],
}

impl Rules {
    fn between(left: &Sound, right: &Sound) -> Self {
        let vowels = [left.vowels, right.vowels];
        let consonants = |it: &Sound| it.phones.iter().filter(|it| !is_vowel(**it)).count();
        let few = consonants(left).min(consonants(right));
        let (vowel, soft) = if vowels.contains(&Vowels::Few) {
            (0.08, 0.2)
        } else if vowels.contains(&Vowels::Some) {
            (0.15, 0.3)
        } else if vowels.contains(&Vowels::Extra) {
            (0.2, 0.3)
        } else if few <= 2 {
            (0.7, 0.5)
        } else {
            (0.45, 0.4)
        };
        Self {
            vowel,
            soft,
            vowels,
        }
    }

    fn weight(&self, phone: u8) -> f64 {
        match phone {
            _ if is_vowel(phone) => self.vowel,
            b'h' | b'y' | b'w' => self.soft,
            _ => 1.0,
        }
    }

    /// 1 minus the cost of the cheapest edit, by the mean weight of both.
    fn likeness(&self, left: &[u8], right: &[u8]) -> f64 {
        // On the stack for all but the longest words: this is the inner loop of every comparison.
        let (mut short, mut long) = ([0.0_f64; 32], Vec::new());
        let row = if right.len() < short.len() {
            &mut short[..=right.len()]
        } else {
            long.resize(right.len() + 1, 0.0);
            long.as_mut_slice()
        };
        for (at, phone) in right.iter().enumerate() {
            row[at + 1] = row[at] + self.weight(*phone);
        }
        let right_weight = row[right.len()];
        let mut left_weight = 0.0;
        for (at, one) in left.iter().enumerate() {
            let mut diagonal = row[0];
            row[0] += self.weight(*one);
            left_weight += self.weight(*one);
            for (to, other) in right.iter().enumerate() {
                let mut substituted = diagonal + self.substitution(*one, *other);
                if at == 0 && to == 0 && self.substitution(*one, *other) > 0.45 {
                    substituted += 0.4;
                }
                diagonal = row[to + 1];
                row[to + 1] = substituted
                    .min(diagonal + self.weight(*one))
                    .min(row[to] + self.weight(*other));
            }
        }
        let mean = f64::midpoint(left_weight, right_weight).max(0.8);
        (1.0 - row[right.len()] / mean).clamp(0.0, 1.0)
    }

    fn substitution(&self, one: u8, other: u8) -> f64 {
        if one == other {
            return 0.0;
        }
        let (low, high) = if one < other {
            (one, other)
        } else {
            (other, one)
        };
        if is_vowel(low) && is_vowel(high) {
            let near = matches!(
                (low, high),
                (b'e', b'i') | (b'a', b'e' | b'o') | (b'o', b'u')
            );
            return self.vowel * if near { 0.4 } else { 0.8 };
        }
        let is_loose = self.vowels.contains(&Vowels::Few);
        let is_kana = self.vowels.contains(&Vowels::Extra);
        match (low, high) {
            (b'l', b'r') if is_kana => 0.05,
            (b'b', b'v') | (b'f', b'p') | (b'S', b's') if is_loose || is_kana => 0.08,
            (b'X', b'k') | (b'J', b'g') if is_loose => 0.08,
            _ => pair(low, high).map_or_else(
                || 1.0_f64.min(self.weight(low) + self.weight(high)),
                |cost| cost.min(self.weight(low) + self.weight(high)),
            ),
        }
    }
}

/// The cost of one phone for another where languages write or hear them alike; capitals sort first.
fn pair(low: u8, high: u8) -> Option<f64> {
    Some(match &[low, high] {
        b"vw" | b"iy" | b"Xh" | b"jy" | b"Jj" | b"cs" | b"Cc" | b"Tc" | b"ck" | b"Sx" | b"uw"
        | b"gq" | b"kq" => 0.1,
        b"Xc" | b"cj" | b"JZ" | b"Zj" | b"gh" | b"ey" | b"fv" | b"Xx" | b"Xq" => 0.2,
        b"Jg" | b"Nn" | b"Tq" | b"Xj" | b"gk" | b"Xk" | b"sz" | b"dt" | b"bp" | b"bv" | b"SZ"
        | b"CJ" | b"CT" | b"Ts" | b"Cq" | b"Sc" | b"JT" => 0.3,
        b"Ss" | b"Zz" | b"Tz" | b"CZ" | b"CS" | b"Zc" | b"Jc" | b"Jd" | b"Ww" | b"ow" | b"hj"
        | b"kx" | b"sx" | b"Cx" => 0.35,
        b"Xg" | b"fp" | b"mn" | b"uv" | b"lw" | b"gj" | b"Jz" | b"JS" | b"iv" | b"Zs" | b"Sz"
        | b"Jy" | b"hk" | b"ij" => 0.45,
        b"Ng" | b"lr" | b"Tt" | b"Ct" | b"Zy" | b"bw" | b"Cs" | b"gw" | b"tz" | b"dz" | b"Zg"
        | b"cz" | b"Js" => 0.6,
        _ => return None,
    })
}
