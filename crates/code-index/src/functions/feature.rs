//! The features of functions and their learned weights.

/// A feature of a function. "The text" is the title and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum FunctionFeature {
    /// How far the function's file is behind the first file, as log odds.
    FileScore,
    /// The share of the function's file in the odds of all files.
    FileShare,
    /// Words of the text in the function, by BM25.
    Words,
    /// Words of the title in the function, by BM25.
    Title,
    /// Words of the text in the function, compared with the other functions of its file.
    WordsInFile,
    /// The share of the title's words that are in the function.
    TitleShare,
    /// Words of the text in the function's name.
    NameWords,
    /// Words of the title in the function's name.
    NameTitle,
    /// Words of the text in the name of the function's class.
    ClassWords,
    /// Words of the title in the name of the function's class.
    ClassTitle,
    /// The function's name as a name of the text.
    Named,
    /// `Class.method` of the text.
    Qualified,
    /// The name of the function's class as a name of the text.
    ClassNamed,
    /// A stack frame in the function.
    Frame,
    /// Names of the text in the function.
    Mentions,
    /// Names of the text in the function, compared with the other functions of its file.
    MentionsInFile,
    /// A message, flag or key of the text as a literal in the function.
    Message,
    /// Calls by functions that the text names or describes.
    Called,
    /// The same, compared with the other functions of the file.
    CalledInFile,
    /// Calls of functions that the text names or describes.
    Calls,
    /// Functions of the same name, in other classes or files, that the text names or describes.
    Namesake,
    /// The length of the function.
    Length,
    /// A name that begins with one underscore.
    Private,
    /// A name with two underscores on both sides.
    Protocol,
}

/// Learned from the 220 instances of SWE-bench whose fix changes functions (`docs/locate.md`) with
/// `--example fit -- --functions ROWS`, from the rows that `--example eval -- … --function-rows ROWS` writes.
const WEIGHTS: [(FunctionFeature, f64); FunctionFeature::ALL.len()] = [
    (FunctionFeature::FileScore, 2.7503),
    (FunctionFeature::FileShare, 0.8254),
    (FunctionFeature::Words, 0.6258),
    (FunctionFeature::Title, 0.5068),
    (FunctionFeature::WordsInFile, 2.4153),
    (FunctionFeature::TitleShare, 0.5008),
    (FunctionFeature::NameWords, 0.4066),
    (FunctionFeature::NameTitle, 0.9429),
    (FunctionFeature::ClassWords, 0.6794),
    (FunctionFeature::ClassTitle, 0.2726),
    (FunctionFeature::Named, 0.6152),
    (FunctionFeature::Qualified, 2.0705),
    (FunctionFeature::ClassNamed, 0.5435),
    (FunctionFeature::Frame, 0.4933),
    (FunctionFeature::Mentions, 0.3600),
    (FunctionFeature::MentionsInFile, 0.8004),
    (FunctionFeature::Message, 0.5326),
    (FunctionFeature::Called, 0.0413),
    (FunctionFeature::CalledInFile, 0.6380),
    (FunctionFeature::Calls, 0.4933),
    (FunctionFeature::Namesake, 0.3905),
    (FunctionFeature::Length, 1.0502),
    (FunctionFeature::Private, 0.7021),
    (FunctionFeature::Protocol, 0.6726),
];

impl FunctionFeature {
    /// All features in the order of their discriminants.
    pub const ALL: [Self; 24] = [
        Self::FileScore,
        Self::FileShare,
        Self::Words,
        Self::Title,
        Self::WordsInFile,
        Self::TitleShare,
        Self::NameWords,
        Self::NameTitle,
        Self::ClassWords,
        Self::ClassTitle,
        Self::Named,
        Self::Qualified,
        Self::ClassNamed,
        Self::Frame,
        Self::Mentions,
        Self::MentionsInFile,
        Self::Message,
        Self::Called,
        Self::CalledInFile,
        Self::Calls,
        Self::Namesake,
        Self::Length,
        Self::Private,
        Self::Protocol,
    ];

    /// The features that compare within a file, with the ones that they compare.
    pub(super) const WITHIN_FILES: [(Self, Self); 3] =
        [(Self::WordsInFile, Self::Words), (Self::MentionsInFile, Self::Mentions), (Self::CalledInFile, Self::Called)];

    /// Returns whether the values are used as they are. Other features are divided by their maximum.
    pub(super) const fn is_absolute(self) -> bool {
        matches!(self, Self::FileScore | Self::FileShare | Self::Length | Self::Private | Self::Protocol)
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
