//! What the page of troubles quotes, the program says.
