//! The allow-lists of users and repositories.

/// The users and repositories that may start jobs.
///
/// Entries are compared without case. `*` matches any characters except `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowLists {
    /// Logins; empty: everyone.
    pub users: Vec<String>,
    /// Full repository names; empty: every repository.
    pub repos: Vec<String>,
}

impl AllowLists {
    /// Returns whether the list allows this user.
    pub fn admits_user(&self, login: &str) -> bool {
        self.users.is_empty() || self.names_user(login)
    }

    /// Returns whether the list names this user, who then needs no permission on the forge.
    pub fn names_user(&self, login: &str) -> bool {
        self.users.iter().any(|pattern| glob(pattern, login))
    }

    /// Returns whether the list allows this repository.
    pub fn admits_repo(&self, full_name: &str) -> bool {
        self.repos.is_empty() || self.repos.iter().any(|pattern| glob(pattern, full_name))
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    // The classic two-pointer walk: on a mismatch go back to the last star and let it take one character more.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star.filter(|(_, star_t)| text[*star_t] != '/') {
            star = Some((star_p, star_t + 1));
            p = star_p + 1;
            t = star_t + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_lists_compare_whole_names_without_case() {
        let lists = AllowLists { users: vec!["Alice".into()], repos: vec!["acme/demo".into(), "tools/*".into()] };
        assert!(lists.admits_user("alice"));
        assert!(!lists.admits_user("alice "));
        assert!(!lists.admits_user("mallory"));
        assert!(lists.admits_repo("ACME/demo"));
        assert!(!lists.admits_repo("acme/demo2"));
        assert!(lists.admits_repo("tools/x"));
        assert!(!lists.admits_repo("tools/x/y"));
        assert!(AllowLists::default().admits_user("anyone"));
        assert!(!AllowLists::default().names_user("anyone"));
    }
}
