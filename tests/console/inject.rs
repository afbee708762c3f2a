//! What can be done with the page, and what is told of it.

use partition_agent_proto::Hits;

use crate::desk::{Desk, HELD, INJECTS, LOOKS, PAGE, picture, shows};

#[test]
fn a_fault_is_injected_by_the_form_seen_live_and_restored_by_a_key() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut desk = Desk::new();
    desk.enter(INJECTS);
    desk.browser.until(&shows("Nothing is in force"));
    desk.browser.until("document.getElementById('host').textContent === 'web-1'");
    // It is known by then whether there is a fleet to be seen.
    assert_eq!(desk.browser.ask("document.getElementById('views').hidden"), true);

    // By the keyboard alone: to whom, the plan, and only then the inject.
    desk.tab_to("peers");
    desk.browser.write("10.77.1.2");
    assert_eq!(desk.browser.ask("document.getElementById('do-inject').disabled"), true);
    desk.browser.press("Enter");
    desk.browser.until("!document.getElementById('do-inject').disabled");
    let plan = desk.browser.ask("document.getElementById('plan-text').innerText").to_string();
    assert!(plan.contains("10.77.1.2 timeout 60000ms") && plan.contains("counter fwd to 0"), "{plan}");
    desk.browser.until(&shows("local port tcp/7433"));
    assert!(!desk.rules().contains("partition_agent"), "{}", desk.rules());

    // Another fault than the one that is shown cannot be injected.
    desk.browser.write("9");
    assert_eq!(desk.browser.ask("document.getElementById('do-inject').disabled"), true);
    assert_eq!(desk.browser.ask("document.getElementById('plan-text').hidden"), true);
    desk.browser.ask("document.getElementById('peers').value = ''");
    desk.browser.write("10.77.1.2");
    desk.browser.press("Enter");
    desk.browser.until("!document.getElementById('do-inject').disabled");
    let id = desk.browser.ask("document.querySelector('#plan-words dd').innerText");
    let id = id.as_str().unwrap().to_owned();
    desk.tab_to("do-inject");
    desk.browser.press("Enter");
    desk.browser.until(&shows("1 in force"));
    desk.browser.until(&format!(
        "document.getElementById('fault-rows').innerText.includes('loss 100%, 10.77.1.2, egress and ingress\\n{id}')"
    ));
    assert!(desk.rules().contains("10.77.1.2"), "{}", desk.rules());
    assert_eq!(desk.agent().faults()[0].id.to_string(), id);
    assert!(desk.agent().faults()[0].by.starts_with("token alice from 10.77.2.2:"));

    // Hits come by themselves, and time goes by.
    for all in [20, 50] {
        desk.send(if all == 20 { 20 } else { 30 }, "10.77.1.2:9");
        desk.browser.until(&format!("document.querySelector('.hits').innerText.startsWith('{all} lost')"));
    }
    let left = desk.browser.ask("document.querySelector('.left b').innerText");
    desk.browser.until(&format!("document.querySelector('.left b').innerText !== {left}"));
    desk.browser.until("document.title.startsWith('1 in force')");

    // In the words of the command line.
    let words = "hitsInWords({ lost_packets: 1, queue_drops: 5, overflow_drops: 2 })";
    let hits = Hits { lost_packets: 1, queue_drops: 5, overflow_drops: 2, ..Hits::default() };
    assert_eq!(desk.browser.ask(words), hits.to_string());

    // From wherever the focus is.
    desk.tab_to("id");
    desk.browser.chord('r', HELD);
    desk.browser.until(&shows("Nothing is in force"));
    desk.browser.until(&shows(&format!("Restored: {id}")));
    desk.browser.until("document.getElementById('past-rows').innerText.includes('50 lost')");
    assert!(!desk.rules().contains("partition_agent"), "{}", desk.rules());
    assert!(desk.agent().faults().is_empty());

    desk.assert_asked_nobody_else();
    assert_eq!(desk.complaints(&[401]), Vec::<String>::new());
}

#[test]
fn what_others_do_is_seen_and_each_fault_can_be_restored_by_itself() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut desk = Desk::new();
    desk.enter(INJECTS);
    let spec = r#"{"kinds":[{"loss":{"percent":30}}],"target":{"peers":["10.77.1.2"]},"for":"10m"}"#;
    for id in ["one", "two"] {
        desk.agent().inject(id, spec);
    }
    desk.browser.until(&shows("2 in force"));
    desk.browser.until("document.getElementById('spoken').textContent.includes('two: injected')");
    desk.browser.ask("document.querySelector('[aria-label=\"Restore one\"]').focus()");
    desk.browser.press("Enter");
    desk.browser.until(&shows("1 in force"));
    assert_eq!(desk.agent().faults().iter().map(|fault| fault.id.to_string()).collect::<Vec<_>>(), ["two"]);
    // Whoever was on a button that is gone is not lost.
    desk.browser.until("document.activeElement.id === 'faults'");
    desk.agent().restore("two");
    desk.browser.until(&shows("Nothing is in force"));
    // What was can be had once more, by its plan.
    desk.browser.until("document.querySelectorAll('#past-rows button').length === 2");
    desk.browser.ask("document.querySelector('#past-rows button').click()");
    desk.browser.until("document.activeElement.id === 'json'");
    desk.tab_to("show-plan");
    desk.browser.press("Enter");
    desk.browser.until("!document.getElementById('do-inject').disabled");
    desk.browser.until(
        "document.getElementById('plan-text').innerText.includes('numgen random mod 1000000 < 300000')",
    );
    assert!(desk.agent().faults().is_empty());
    assert_eq!(desk.complaints(&[401]), Vec::<String>::new());
}

#[test]
fn every_kind_of_the_form_has_a_plan() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut desk = Desk::new();
    // A name server that is not there: nobody asks it anything in a dry run.
    desk.enter(INJECTS);
    let kinds = desk.browser.ask("KINDS.map((kind) => kind.name)");
    let kinds =
        kinds.as_array().unwrap().iter().map(|kind| kind.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert!(kinds.len() >= 8, "{kinds:?}");
    for kind in kinds {
        desk.browser.ask(&format!("document.getElementById('is-{kind}').click()"));
        desk.browser.ask("document.getElementById('peers').value = '10.77.1.2'");
        desk.browser.ask("if (document.getElementById('kind-names')) document.getElementById('kind-names').value = 'a.example, *.b.example'");
        desk.browser.ask("document.getElementById('fault-form').requestSubmit()");
        desk.browser.until("!document.getElementById('do-inject').disabled || !document.getElementById('form-problem').hidden");
        let problem = desk.browser.ask("document.getElementById('form-problem').innerText");
        assert_eq!(problem, "", "{kind}");
        picture(&mut desk.browser, &format!("kind-{kind}"));
    }
    assert!(desk.agent().faults().is_empty());
}

#[test]
fn a_refusal_is_shown_at_the_form_and_has_the_focus() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut desk = Desk::with("[policy]\nlongest = '1h'");
    desk.enter(INJECTS);
    let ask = |desk: &mut Desk, peers: &str, length: &str| {
        desk.browser.ask(&format!("document.getElementById('peers').value = '{peers}'; document.getElementById('for').value = '{length}'"));
        desk.browser.ask("document.getElementById('fault-form').requestSubmit()");
        // Of this answer: what the one before has shown is hidden by now.
        desk.browser.until(
            "!document.getElementById('form-problem').hidden && document.activeElement.id === 'form-problem'",
        );
        let problem = desk.browser.ask("document.getElementById('form-problem').innerText");
        assert_eq!(desk.browser.ask("document.getElementById('do-inject').disabled"), true);
        problem.as_str().unwrap().to_owned()
    };
    let refused = ask(&mut desk, "", "1m");
    assert!(refused.contains("an empty target"), "{refused}");
    let refused = ask(&mut desk, "10.77.1.2", "2h");
    assert!(refused.contains("policy.longest allows 1h") && refused.contains("[policy] in"), "{refused}");
    picture(&mut desk.browser, "refused");
    let refused = ask(&mut desk, "10.77.1.2", "soon");
    assert!(refused.contains("`soon` is not a length of time"), "{refused}");
    desk.browser
        .ask("document.getElementById('as-json').click(); document.getElementById('json').value = '{'");
    desk.browser.ask("document.getElementById('fault-form').requestSubmit()");
    desk.browser.until(&shows("The request could not be read"));
    assert_eq!(desk.complaints(&[401, 422, 403, 422, 400]), Vec::<String>::new());
}

#[test]
fn who_may_only_look_on_has_nothing_to_press_and_forcing_it_is_refused() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut desk = Desk::new();
    desk.agent().inject(
        "cut",
        r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["10.77.1.2"]},"for":"10m"}"#,
    );
    desk.browser.open(PAGE);
    desk.browser.until("document.activeElement.id === 'token'");
    assert_eq!(
        desk.browser.ask("document.getElementById('token-clear').hidden"),
        false,
        "it came without TLS"
    );
    desk.show("a-token-of-somebody-else");
    desk.browser.until("document.activeElement.id === 'token-problem'");
    desk.browser.until(&shows("the token of the request is not that of this agent"));
    assert_eq!(desk.browser.ask("document.getElementById('desk').hidden"), true);
    desk.browser.ask("document.getElementById('token').focus()");
    picture(&mut desk.browser, "door");
    desk.show(LOOKS);
    desk.browser.until(&shows("1 in force"));
    desk.browser.until(&shows("and may look on"));
    picture(&mut desk.browser, "observe");
    let pressable = "[...document.querySelectorAll('button, input, textarea, select')].filter((box) => box.checkVisibility()).length";
    assert_eq!(desk.browser.ask(pressable), 0);
    desk.browser.chord('r', HELD);
    // And by what the page itself has to ask with.
    for forced in [
        "ask('DELETE', 'v1/faults')",
        "ask('PUT', 'v1/faults/more', '{\"kinds\":[{\"loss\":{\"percent\":1}}],\"target\":{\"peers\":[\"10.77.1.2\"]}}')",
    ] {
        let refused = desk.browser.ask(&format!("{forced}.catch((error) => error.problem.detail)"));
        assert!(
            refused.as_str().is_some_and(|why| why.contains("takes the role inject; token board")),
            "{refused}"
        );
    }
    assert_eq!(desk.agent().faults().len(), 1);
    assert!(desk.rules().contains("10.77.1.2"));
    assert_eq!(desk.complaints(&[401, 401, 403, 403]), Vec::<String>::new());
}

#[test]
fn what_others_wrote_stays_text() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut desk = Desk::new();
    // The kernel takes such a name for an interface, and so does the agent.
    desk.lab.app.sh("ip link add '<img&x>' type veth peer name odd && ip link set odd up && ip addr add 10.99.0.1/24 dev '<img&x>' && ip link set '<img&x>' up");
    desk.enter(INJECTS);
    desk.agent().inject("odd", r#"{"kinds":[{"loss":{"percent":1}}],"target":{"peers":["10.99.0.2"]},"interface":"<img&x>","for":"10m"}"#);
    desk.browser.until(&shows("egress and ingress, on <img&x>"));
    let hostile = r#"{"kinds":[{"<img src=x onerror=alert(1)>":{}}],"target":{}}"#;
    desk.browser.ask(&format!("fill({hostile})"));
    desk.browser.ask("document.getElementById('fault-form').requestSubmit()");
    desk.browser.until(&shows("<img src=x onerror=alert(1)>"));
    desk.agent().restore("odd");
    desk.browser.until("document.getElementById('past-rows').innerText.includes('on <img&x>')");
    assert_eq!(desk.browser.ask("document.images.length"), 0);
    // What would make markup of it is refused by the browser.
    let refused = desk.browser.ask(
        "(() => { try { document.body.innerHTML = '<b>x</b>'; } catch (error) { return error.name; } })()",
    );
    assert_eq!(refused, "TypeError");
    let complaints = desk.complaints(&[401, 422]);
    assert!(complaints.iter().all(|complaint| complaint.contains("TrustedHTML")), "{complaints:?}");
}
