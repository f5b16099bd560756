//! The live page is served whole, from here alone.

use crate::world::{Behaviour, Origin, Reply, World};

#[tokio::test]
async fn the_page_loads_its_own_files_and_no_others() {
    let (v1, v2) = (Origin::answering(Reply::rich()), Origin::start(Behaviour::Refuse));
    let proxy = World::new().v1(&v1).v2(&v2).start().await;
    let page = proxy.admin_get("/").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'self'"), "{policy}");
    let text = String::from_utf8(page.body.clone()).expect("UTF-8");
    assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    for (path, kind) in [("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        assert!(text.contains(&format!("\"{}\"", &path[1..])), "the page names {path}");
        let file = proxy.admin_get(path).await;
        assert_eq!(file.status, 200, "{path}");
        assert!(file.header("content-type").is_some_and(|it| it.starts_with(kind)), "{path}");
    }
}
