//! Patterns of file names as a shell has them (rule 4.6). Pure functions.

use gen_worker_hub::RepoPath;

/// Whether `path` is one of the files that `pattern` means: `*` is any text, slashes too, `?` any character, `[…]` one of a set; a
/// slash at the end means all that is in the directory. Case matters.
pub(super) fn matches(pattern: &str, path: &RepoPath) -> bool {
    let mut wanted: Vec<char> = pattern.trim().chars().collect();
    if wanted.last() == Some(&'/') {
        wanted.push('*');
    }
    let text: Vec<char> = path.as_str().chars().collect();
    glob(&wanted, &text)
}

/// Goes back to the last `*` only, which is enough: so the time is at most the product of the lengths.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut next) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&character) = text.get(at) {
        match step(pattern.get(next..).unwrap_or_default(), character) {
            Step::Star => {
                star = Some((next, at));
                next += 1;
            }
            Step::Takes(len) => {
                next += len;
                at += 1;
            }
            Step::Fails => {
                let Some((after, from)) = star else { return false };
                star = Some((after, from + 1));
                (next, at) = (after + 1, from + 1);
            }
        }
    }
    pattern.get(next..).unwrap_or_default().iter().all(|rest| *rest == '*')
}

enum Step {
    /// Any text follows.
    Star,
    /// So many characters of the pattern take the character.
    Takes(usize),
    Fails,
}

fn step(pattern: &[char], character: char) -> Step {
    match pattern {
        [] => Step::Fails,
        ['*', ..] => Step::Star,
        ['?', ..] => Step::Takes(1),
        ['[', set @ ..] => match closing(set) {
            Some(end) if in_set(set.get(..end).unwrap_or_default(), character) => Step::Takes(end + 2),
            Some(_) => Step::Fails,
            // A bracket that nothing closes is a character like others.
            None if character == '[' => Step::Takes(1),
            None => Step::Fails,
        },
        [own, ..] if *own == character => Step::Takes(1),
        _ => Step::Fails,
    }
}

/// Where a set ends: a bracket in its first place is one of its characters.
fn closing(set: &[char]) -> Option<usize> {
    let first = usize::from(set.first() == Some(&'!'));
    set.iter().skip(first + 1).position(|c| *c == ']').map(|at| at + first + 1)
}

fn in_set(set: &[char], character: char) -> bool {
    let (negated, mut rest) = match set {
        ['!', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    while let [first, tail @ ..] = rest {
        rest = match tail {
            ['-', last, tail @ ..] => {
                found |= (*first..=*last).contains(&character);
                tail
            }
            _ => {
                found |= *first == character;
                tail
            }
        };
    }
    found != negated
}

#[cfg(test)]
mod tests;
