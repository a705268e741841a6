//! The features of functions and their learned weights.

/// A feature of a function. "The text" is the title and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum FunctionFeature {
    /// How far the function's file is behind the first file, as log odds.
    FileScore,
    /// Words of the text in the function without its documentation, by BM25.
    Words,
    /// The same, compared with the other functions of its file.
    WordsInFile,
    /// Words of the text and the title in the function's part of the file, compared with the whole tree.
    Similarity,
    /// Words of the title in the function's name.
    NameTitle,
    /// The function's name as a name of the text.
    Named,
    /// `Class.method` or `module.function` of the text.
    Qualified,
    /// A method that the language calls, for what a word of the text says: `__iter__` for "iterating".
    Protocol,
    /// Names of the text in the function.
    Mentions,
    /// Names of the text in the function, compared with the other functions of its file.
    MentionsInFile,
    /// Names of the text as parameters.
    Parameters,
    /// A stack frame in the function.
    Frame,
    /// A line of the function that the text names.
    Position,
    /// Lines of the function in the text.
    QuotedLines,
    /// Calls, over up to three steps, by what the text names or describes.
    Called,
    /// Calls by tests that resemble the text.
    Tested,
    /// Lines that came with earlier changes whose messages resemble the text.
    History,
    /// Executed while the text's sample ran, the more the later and the closer to its failure.
    Executed,
}

/// Learned from the 220 instances of SWE-bench whose fix changes functions (`docs/locate.md`) with
/// `--example fit -- --functions ROWS`, from the rows that `--example eval -- … --function-rows ROWS` writes. Two are negative:
/// what takes the named parameters, and what tests call, is often the public entrance to what must be changed.
const WEIGHTS: [(FunctionFeature, f64); FunctionFeature::ALL.len()] = [
    (FunctionFeature::FileScore, 2.6395),
    (FunctionFeature::Words, 0.3428),
    (FunctionFeature::WordsInFile, 1.7492),
    (FunctionFeature::Similarity, 1.4022),
    (FunctionFeature::NameTitle, 1.0302),
    (FunctionFeature::Named, 0.7327),
    (FunctionFeature::Qualified, 1.6812),
    (FunctionFeature::Protocol, 1.5357),
    (FunctionFeature::Mentions, 0.8712),
    (FunctionFeature::MentionsInFile, 0.6846),
    (FunctionFeature::Parameters, -1.0863),
    (FunctionFeature::Frame, 0.5000),
    (FunctionFeature::Position, 1.3731),
    (FunctionFeature::QuotedLines, 0.6411),
    (FunctionFeature::Called, 1.6831),
    (FunctionFeature::Tested, -1.0306),
    (FunctionFeature::History, 1.4185),
    (FunctionFeature::Executed, 2.6700),
];

impl FunctionFeature {
    /// All features in the order of their discriminants.
    pub const ALL: [Self; 18] = [
        Self::FileScore,
        Self::Words,
        Self::WordsInFile,
        Self::Similarity,
        Self::NameTitle,
        Self::Named,
        Self::Qualified,
        Self::Protocol,
        Self::Mentions,
        Self::MentionsInFile,
        Self::Parameters,
        Self::Frame,
        Self::Position,
        Self::QuotedLines,
        Self::Called,
        Self::Tested,
        Self::History,
        Self::Executed,
    ];

    /// The features that compare within a file, with the ones that they compare.
    pub(super) const WITHIN_FILES: [(Self, Self); 2] =
        [(Self::WordsInFile, Self::Words), (Self::MentionsInFile, Self::Mentions)];

    /// Returns whether the values are used as they are. Other features are divided by their maximum.
    pub(super) const fn is_absolute(self) -> bool {
        matches!(self, Self::FileScore | Self::Position | Self::Executed)
    }

    /// Returns the learned weight.
    pub(super) fn weight(self) -> f64 {
        WEIGHTS[self as usize].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_weight_is_at_the_position_of_its_feature() {
        for (position, (feature, _)) in WEIGHTS.into_iter().enumerate() {
            assert_eq!((feature, feature as usize), (FunctionFeature::ALL[position], position));
        }
    }
}
