//! Tells samples of code from prose, line by line: in many texts they are not marked.

use crate::pattern::pattern;

pattern!(
    KEYWORD,
    r"^\s*(?:>>> |\.\.\. |In ?\[\d+\]:\s?|\$ |[+-]\s)?(?:def|class|import|from|return|for|if|while|with|try|except|raise|assert|print|elif|else|lambda|yield|async|await|function|const|let|var|public|private|static|fn|func|package|use|impl|struct|enum|end|module|require|new|throw|catch|switch|case|#include)\b"
);
pattern!(CODE_END, r"[;{}\]):,]$");
pattern!(SENTENCE_END, r"[.!?。！？]$");
pattern!(SENTENCE_START, r"^[A-Z][a-z]*[ ,]");
pattern!(EXPRESSION, r"\w\(|\w\.\w|\w = |==|->|=>|::");
pattern!(PROMPT, r"^\s*(?:>>>|\.\.\. |In ?\[|Out\[|\$ )");
pattern!(TRACE, r#"^\s*(?:File "|Traceback|at |[A-Z]\w*(?:Error|Exception|Warning):)"#);
pattern!(WORD, r"[A-Za-z']+");
pattern!(IDENTIFIER, r"\w+");

/// Words of English sentences.
const COMMON_WORDS: &[&str] = &[
    "the", "a", "an", "is", "are", "was", "were", "be", "been", "to", "of", "and", "or", "in", "on", "for", "with",
    "that", "this", "it", "as", "not", "but", "if", "when", "then", "so", "can", "could", "should", "would", "will",
    "i", "we", "you", "they", "there", "here", "have", "has", "had", "do", "does", "did", "from", "by", "at", "about",
    "which", "what", "how", "why", "my", "our", "your", "their", "its", "also", "only", "just", "than", "more", "no",
    "yes", "any", "all", "some",
];
const PUNCTUATION: &str = "()[]{}=<>|&*+/\\%;:_\"'`@$^~";

/// Learned by logistic regression from 5,296 lines of the issues of SWE-bench whose samples are fenced: those within a fence are
/// code. With the weights of the other repositories, it tells 80% of the lines of each repository as their fences do.
const WEIGHTS: [f64; 14] = [0.48, 0.21, 2.71, -1.24, 1.27, 0.69, -0.67, -0.98, 0.71, 1.47, -0.77, 0.23, 0.86, 0.07];
/// How much the line before and the line after count, and the log odds from which a line is code.
const NEIGHBOUR_SHARE: f64 = 0.3;
const MIN_ODDS: f64 = 0.3;

/// Returns for each line whether it is code.
pub(super) fn find_code(text: &str) -> Vec<bool> {
    let is_fence = |line: &str| line.trim_start().starts_with("```");
    let mut remaining = text.lines().filter(|line| is_fence(line)).count();
    let (mut fenced, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        let is_fence = is_fence(line);
        remaining -= usize::from(is_fence);
        // A fence without an end is none.
        inside ^= is_fence && (inside || remaining > 0);
        fenced.push(inside || is_fence);
    }
    let score = |line: &str| if line.trim().is_empty() { 0.0 } else { log_odds(line) };
    let scores: Vec<f64> = text.lines().map(score).collect();
    let get = |at: Option<usize>| at.and_then(|at| scores.get(at)).copied().unwrap_or_default();
    let odds = |at: usize| scores[at] + NEIGHBOUR_SHARE * (get(at.checked_sub(1)) + get(Some(at + 1)));
    (0..scores.len()).map(|at| fenced[at] || odds(at) > MIN_ODDS).collect()
}

/// Returns the log odds that a line is code.
fn log_odds(line: &str) -> f64 {
    let text = line.trim();
    let length = text.chars().count().max(1) as f64;
    let share = |test: &dyn Fn(char) -> bool| text.chars().filter(|c| test(*c)).count() as f64 / length;
    let words: Vec<String> = WORD.find_iter(text).map(|word| word.as_str().to_lowercase()).collect();
    let count = words.len().max(1) as f64;
    let common = words.iter().filter(|word| COMMON_WORDS.contains(&word.as_str())).count() as f64;
    let coded = IDENTIFIER.find_iter(text).filter(|name| super::looks_like_code(name.as_str())).count() as f64;
    let indent = (line.len() - line.trim_start().len()).min(8) as f64;
    let values = [
        1.0,
        4.0 * share(&|c| PUNCTUATION.contains(c)),
        indent / 8.0,
        2.0 * common / count,
        f64::from(KEYWORD.is_match(line)),
        f64::from(CODE_END.is_match(text)),
        f64::from(SENTENCE_END.is_match(text)),
        f64::from(SENTENCE_START.is_match(text)),
        f64::from(EXPRESSION.is_match(text)),
        f64::from(PROMPT.is_match(line)),
        count.min(20.0) / 20.0,
        2.0 * coded / count,
        f64::from(TRACE.is_match(line)),
        3.0 * share(&|c| c.is_ascii_digit()),
    ];
    values.iter().zip(WEIGHTS).map(|(value, weight)| value * weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<&str> {
        text.lines().zip(find_code(text)).filter(|(_, is_code)| *is_code).map(|(line, _)| line).collect()
    }

    #[test]
    fn a_sample_is_told_from_the_sentences_around_it_without_a_fence() {
        let text = "Having these two models, the migration is wrong.\nclass Book(models.Model):\n    title = models.CharField(max_length=50)\n\nI would expect that the second one is not created at all.\n>>> Book.objects.all()\nThe query set should be empty in this case.\n";
        let sample =
            ["class Book(models.Model):", "    title = models.CharField(max_length=50)", ">>> Book.objects.all()"];
        assert_eq!(code(text), sample);
        let script = "It also fails in the browser, when the page is loaded for the second time.\nconst page = new Page();\n  page.render({ all: true });\nThen nothing is shown.\n";
        assert_eq!(code(script), ["const page = new Page();", "  page.render({ all: true });"]);
    }

    #[test]
    fn what_is_fenced_is_code_and_chinese_sentences_are_not() {
        assert_eq!(code("It fails.\n```\nplain words in here\n```\nThat is all I know about it.\n").len(), 3);
        assert!(code("登录之后页面是空白的。\n请修复这个问题！\n").is_empty());
        assert!(code("").is_empty());
        assert_eq!(code("It fails.\n```\nThat is all that I know about it.\nThank you very much!\n"), ["```"]);
    }
}
