//! The survey's page, and the pages of the help center (`client-traces.md` §10).

use serde_json::{Value, json};

use super::trace::Client;
use super::{browser, serve};

const UUID: &str = "00000000-0000-4000-8000-000000000001";

#[tokio::test]
async fn it_is_shown_where_there_is_none_and_told_so() {
    let (app, _admin, _folder) = serve().await;
    browser(&app).get(&format!("/survey/responses/{UUID}")).await.status(200);
    let page = Client::new(app.anyone(), "");
    let path = format!("/public/api/v1/csat_survey/{UUID}");
    let missing = page.send(&format!("GET {path}"), Value::Null).await;
    assert_eq!(missing.status(404), json!({"status": 404, "error": "Not Found"}));
    let rating = json!({"csat_survey_response": {"rating": 4, "feedback_message": ""}});
    let rated = json!({"message": {"submitted_values": rating}});
    page.send(&format!("PUT {path}"), rated).await.status(404);
}

#[tokio::test]
async fn there_are_no_articles() {
    let (app, _admin, _folder) = serve().await;
    let page = Client::new(app.anyone(), "");
    for path in [
        "/hc/help/en/articles.json?query=refund",
        "/hc/help/en/articles.json?page=1&sort=views&status=1&per_page=6",
    ] {
        page.send(&format!("GET {path}"), Value::Null).await.status(404);
    }
    let article = browser(&app).with_header("x-turbo-request-id", UUID);
    for path in
        ["/hc/help/en", "/hc/help/articles/refund", "/hc/help/articles/refund.png", "/favicon.ico"]
    {
        article.get(path).await.status(404);
    }
}
