//! Times for display.

use jiff::Timestamp;

use crate::translations::Language;

/// Formats how long ago a time was.
pub(crate) fn ago(at: Timestamp, now: Timestamp, language: Language) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    let (number, unit) = match seconds {
        0..60 => (0, 0),
        60..3_600 => (seconds / 60, 1),
        3_600..86_400 => (seconds / 3_600, 2),
        86_400..2_592_000 => (seconds / 86_400, 3),
        _ => return at.strftime("%Y-%m-%d").to_string(),
    };
    match (language, unit) {
        (Language::English, 0) => "just now".to_owned(),
        (Language::Chinese, 0) => "刚刚".to_owned(),
        (Language::English, unit) => format!("{number} {} ago", ["", "min", "h", "d"][unit]),
        (Language::Chinese, unit) => format!("{number} {}前", ["", "分钟", "小时", "天"][unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_people_do() {
        let now = Timestamp::from_second(100_000_000).unwrap();
        let text = |seconds: i64, language| ago(Timestamp::from_second(100_000_000 - seconds).unwrap(), now, language);
        let english: Vec<String> = [5, 90, 7_200, 200_000].map(|s| text(s, Language::English)).into();
        assert_eq!(english, ["just now", "1 min ago", "2 h ago", "2 d ago"]);
        let chinese: Vec<String> = [-5, 90, 7_200, 200_000].map(|s| text(s, Language::Chinese)).into();
        assert_eq!(chinese, ["刚刚", "1 分钟前", "2 小时前", "2 天前"]);
        assert_eq!(text(40 * 86_400, Language::English), "1973-01-22");
    }
}
