//! The `Authorization` header of a login.

use super::settings::Login;

/// The header's value; empty where nothing is asked for.
pub(crate) fn header(login: &Login) -> String {
    match login {
        Login::None => String::new(),
        Login::Bearer(token) => format!("Bearer {}", token.reveal()),
        Login::Basic(pair) => format!("Basic {}", base64(pair.reveal().as_bytes())),
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |w, b| (w << 8) | u32::from(*b)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let filled = digit <= three.len();
            let index = (word >> (18 - 6 * digit)) & 63;
            out.push(if filled { DIGITS[index as usize].into() } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_of_the_published_vectors() {
        let vectors = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("a:b", "YTpi")];
        for (plain, coded) in vectors {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
