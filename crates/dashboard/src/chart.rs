//! Bar charts as SVG that the server renders: they need no script, and colors come from the style sheet.

/// The size of a chart, in SVG units.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 10.0;
const FOOT: f64 = 24.0;

/// A segment of a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The name of its color.
    pub class: &'static str,
    /// The label.
    pub label: &'static str,
    /// The value.
    pub value: f64,
    /// The value in the tooltip.
    shown_value: f64,
}

impl Part {
    /// Creates a segment whose tooltip shows its value.
    pub const fn new(class: &'static str, label: &'static str, value: f64) -> Self {
        Self { class, label, value, shown_value: value }
    }

    /// Creates a segment whose tooltip shows its upper end.
    #[must_use]
    pub const fn up_to(self, shown_value: f64) -> Self {
        Self { shown_value, ..self }
    }
}

/// A rectangle.
#[derive(Debug, Clone, PartialEq)]
pub struct Rect {
    /// The name of its color.
    pub class: &'static str,
    /// The position and size, as SVG attributes.
    pub x: String,
    /// See [`Self::x`].
    pub y: String,
    /// See [`Self::x`].
    pub width: String,
    /// See [`Self::x`].
    pub height: String,
    /// The tooltip.
    pub says: String,
}

/// A chart of stacked bars.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// The title.
    pub title: &'static str,
    /// The legend.
    pub legend: Vec<(&'static str, &'static str)>,
    /// The segments.
    pub rects: Vec<Rect>,
    /// The grid lines, each with its position and value.
    pub ticks: Vec<(String, String)>,
    /// The labels of the axis, each with its position.
    pub names: Vec<(String, String)>,
}

impl Bars {
    /// Lays out bars, each with a name and its segments from the bottom up.
    pub fn new(title: &'static str, unit: &'static str, bars: &[(String, Vec<Part>)]) -> Self {
        let sum = |parts: &[Part]| parts.iter().map(|part| part.value).sum::<f64>();
        let most = bars.iter().map(|(_, parts)| sum(parts)).fold(0.0, f64::max);
        let top = round_up(most);
        let height = |value: f64| value / top * (HEIGHT - TOP - FOOT);
        #[expect(clippy::cast_precision_loss, reason = "there are sixty at the most")]
        let step = (WIDTH - LEFT) / bars.len().max(1) as f64;
        let width = (step * 0.7).min(40.0);
        let (mut rects, mut names) = (Vec::new(), Vec::new());
        let every = bars.len().div_ceil(8).max(1);
        for (place, (name, parts)) in bars.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "there are sixty at the most")]
            let middle = LEFT + step * (place as f64 + 0.5);
            let mut floor = HEIGHT - FOOT;
            for part in parts.iter().filter(|part| part.value > 0.0) {
                let high = height(part.value);
                floor -= high;
                rects.push(Rect {
                    class: part.class,
                    x: short(middle - width / 2.0),
                    y: short(floor),
                    width: short(width),
                    height: short(high),
                    says: format!("{name}: {} {}{}", part.label, number(part.shown_value), spaced(unit)),
                });
            }
            if place % every == 0 {
                names.push((short(middle), axis_name(name)));
            }
        }
        let ticks = [0.0, 0.5, 1.0].map(|share| (short(HEIGHT - FOOT - height(top * share)), number(top * share)));
        let legend = bars.first().map(|(_, parts)| parts.iter().map(|part| (part.class, part.label)).collect());
        Self { title, legend: legend.unwrap_or_default(), rects, ticks: ticks.into(), names }
    }
}

fn spaced(unit: &str) -> String {
    if unit.is_empty() { String::new() } else { format!(" {unit}") }
}

/// Returns a day without its year, or the last part of a name, shortened.
fn axis_name(name: &str) -> String {
    let day = name.len() == 10 && name.as_bytes()[4] == b'-';
    let part = if day { &name[5..] } else { name.rsplit('/').next().unwrap_or(name) };
    if part.chars().count() <= 12 {
        part.to_owned()
    } else {
        format!("{}…", part.chars().take(11).collect::<String>())
    }
}

/// Returns the next round number: 1, 2, 5, 10, 20, 50, …
fn round_up(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let ten = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * ten).into_iter().find(|round| *round >= most).unwrap_or(most)
}

fn short(number: f64) -> String {
    format!("{number:.1}")
}

/// Formats a number for display: `1.5 k`, `12`, `0.02`.
pub(crate) fn number(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        ..0.1 => format!("{number:.3}"),
        ..10.0 if number.fract() > 0.01 => format!("{number:.1}"),
        ..10_000.0 => format!("{number:.0}"),
        ..1e6 => format!("{:.0} k", number / 1e3),
        _ => format!("{:.1} M", number / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_each_other_and_reach_a_round_number() {
        let parts = |good, bad| vec![Part::new("good", "ok", good), Part::new("bad", "not", bad)];
        let bars = vec![("2026-11-21".to_owned(), parts(30.0, 11.0)), ("2026-11-22".to_owned(), parts(0.0, 0.0))];
        let chart = Bars::new("runs", "", &bars);
        assert_eq!(chart.ticks.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["0", "25", "50"]);
        assert_eq!(chart.rects.len(), 2, "nothing is drawn for nothing");
        let (good, bad) = (&chart.rects[0], &chart.rects[1]);
        let float = |text: &String| text.parse::<f64>().unwrap();
        assert!((float(&bad.y) + float(&bad.height) - float(&good.y)).abs() < 0.2, "{bad:?} stands on {good:?}");
        assert_eq!(good.says, "2026-11-21: ok 30");
        assert_eq!(chart.names[0].1, "11-21");
    }

    #[test]
    fn a_chart_of_nothing_is_one_too() {
        let chart = Bars::new("cost", "", &[]);
        assert!(chart.rects.is_empty() && chart.legend.is_empty());
        assert_eq!([0.004, 7.0, 41.0, 99_999.0, 2.5e6].map(number), ["0.004", "7", "41", "100 k", "2.5 M"]);
        assert_eq!([0.0, 0.3, 7.0, 41.0, 101.0].map(|most| number(round_up(most))), ["1", "0.5", "10", "50", "200"]);
    }
}
