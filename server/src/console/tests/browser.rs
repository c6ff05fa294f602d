//! A minimal HTTP/1.1 client that keeps cookies, and a reader for the console's own pages.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
    /// The body's bytes; for a picture, `text` is useless.
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of a hidden field.
    pub(super) fn hidden(&self, name: &str) -> String {
        let at = format!("name=\"{name}\" value=\"");
        let start = self.body.find(&at).unwrap_or_else(|| panic!("no {name} in {}", self.body)) + at.len();
        self.body[start..].split('"').next().unwrap_or("").to_owned()
    }

    /// The number above a list.
    pub(super) fn count(&self) -> Option<i64> {
        whole(&between(&self.body, "<p class=\"count\"><b>", "</b>").next()?)
    }

    /// All figures of the page: the link of each, and its text.
    pub(super) fn figures(&self) -> Vec<(String, String)> {
        let anchors = between(&self.body, "<a class=\"figure", "</a>");
        let figure = |anchor: String| {
            let link = between(&anchor, "href=\"", "\"").next()?.replace("&amp;", "&");
            Some((link, anchor.split_once('>')?.1.to_owned()))
        };
        anchors.filter_map(figure).collect()
    }

    /// The rows of the page's tables, each cell without its tags.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let cells = |row: String| {
            let row = row.replace("<th", "<td").replace("</th>", "</td>");
            between(&row, "<td", "</td>")
                .map(|cell| plain(cell.split_once('>').map_or("", |(_, text)| text)))
                .collect()
        };
        between(&self.body, "<tr>", "</tr>").map(cells).collect()
    }
}

/// Parses a whole number as pages write it.
pub(super) fn whole(text: &str) -> Option<i64> {
    text.trim().replace(',', "").replace('−', "-").parse().ok()
}

fn between<'a>(text: &'a str, start: &'a str, end: &'a str) -> impl Iterator<Item = String> + 'a {
    text.split(start).skip(1).map(move |rest| rest.split(end).next().unwrap_or("").to_owned())
}

fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' => in_tag = false,
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    text
}

/// A user at the console.
pub(super) struct Browser {
    address: std::net::SocketAddr,
    cookies: Vec<(String, String)>,
}

impl Browser {
    pub(super) const fn new(address: std::net::SocketAddr) -> Self {
        Self { address, cookies: Vec::new() }
    }

    /// Whether there is a cookie of that name.
    pub(super) fn has_cookie(&self, name: &str) -> bool {
        self.cookies.iter().any(|(found, value)| found == name && !value.is_empty())
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\n"), "").await
    }

    /// Requests a page that is already cached under an etag.
    pub(super) async fn get_unless(&mut self, path: &str, etag: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nIf-None-Match: {etag}\r\n"), "").await
    }

    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let pairs = fields.iter().map(|(name, value)| {
            let link = super::super::link::Link::to("").with(name, value).to_string();
            link.trim_start_matches('?').to_owned()
        });
        let body = pairs.collect::<Vec<_>>().join("&");
        let head = format!(
            "POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            body.len()
        );
        self.send(&head, &body).await
    }

    /// Opens the login page and sends its form.
    pub(super) async fn log_in(&mut self, name: &str, password: &str) -> Answer {
        let form = self.get("/login").await;
        let csrf = form.hidden("csrf");
        self.post("/login", &[("csrf", &csrf), ("name", name), ("password", password), ("next", "/")]).await
    }

    async fn send(&mut self, head: &str, body: &str) -> Answer {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies =
            if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        let request = format!("{head}Host: console\r\n{cookies}Connection: close\r\n\r\n{body}");
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let body = bytes.split_off(end + 4);
        let head = String::from_utf8(bytes).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let answer = Answer { status, head, body: String::from_utf8_lossy(&body).into_owned(), bytes: body };
        self.keep_cookies(&answer);
        answer
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
        for (_, cookie) in lines.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
            self.cookies.retain(|(found, _)| found != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}
