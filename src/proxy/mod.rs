//! The shell: accepts connections and drives one session each; moves bytes, time and answers, decides nothing.
