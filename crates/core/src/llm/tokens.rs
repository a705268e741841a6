//! An estimate of the tokens of a text.

/// The kind of a run of characters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Lower,
    Upper,
    Digits,
    Spaces,
    Lines,
    Signs,
    Wide,
    Other,
}

/// Returns about how many tokens a text has.
pub(super) fn count(text: &str) -> usize {
    let mut quarters = 0;
    let mut run: Option<(Run, usize)> = None;
    for c in text.chars() {
        let kind = kind_of(c);
        match &mut run {
            Some((known, length)) if *known == kind => *length += 1,
            // A capital begins the word that follows it.
            Some((Run::Upper, 1)) if kind == Run::Lower => run = Some((Run::Lower, 2)),
            _ => {
                quarters += run.map_or(0, cost_of);
                run = Some((kind, 1));
            }
        }
    }
    (quarters + run.map_or(0, cost_of)).div_ceil(100)
}

fn kind_of(c: char) -> Run {
    match c {
        'a'..='z' => Run::Lower,
        'A'..='Z' => Run::Upper,
        '0'..='9' => Run::Digits,
        ' ' | '\t' => Run::Spaces,
        '\n' | '\r' => Run::Lines,
        c if c.is_ascii() => Run::Signs,
        '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' => {
            Run::Wide
        }
        _ => Run::Other,
    }
}

/// Returns the cost of a run in hundredths of a token.
fn cost_of((kind, length): (Run, usize)) -> usize {
    match kind {
        Run::Lower => 100 + length.saturating_sub(6) * 15,
        Run::Upper => 40 + length * 30,
        Run::Digits => length.div_ceil(3) * 100,
        Run::Spaces if length == 1 => 0,
        Run::Spaces => 100,
        Run::Lines => 55,
        Run::Signs => 28 + length * 38,
        Run::Wide => length * 75,
        Run::Other => length * 120,
    }
}
