// A page asks for itself again and takes over what is new: scrolling, opened details, focus and
// text that is being typed stay. Without this script a page reloads itself, and nothing else is lost.
"use strict";

const main = () => document.getElementById("content");
const pace = () => Number(main().dataset.pace) * 1000;
let due = Date.now() + pace();
let asking = false;

function isTheSame(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && (old.id || "") === (fresh.id || "");
}

function renewAttributes(old, fresh) {
  for (const { name, value } of [...fresh.attributes]) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
}

function renew(old, fresh) {
  if (old.isEqualNode(fresh) || old.nodeName === "FORM") return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  renewAttributes(old, fresh);
  let at = old.firstChild;
  for (const each of [...fresh.childNodes]) {
    const known = each.id && [...old.children].find((child) => child.id === each.id);
    const here = known || (at && isTheSame(at, each) ? at : null);
    if (!here) {
      old.insertBefore(each, at);
      continue;
    }
    if (here === at) at = at.nextSibling;
    else old.insertBefore(here, at);
    renew(here, each);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function trouble(title, text) {
  let shown = document.getElementById("not-refreshed");
  if (!title) {
    if (shown) shown.remove();
    return;
  }
  if (!shown) {
    shown = document.createElement("aside");
    shown.id = "not-refreshed";
    shown.setAttribute("role", "alert");
    main().before(shown);
  }
  const head = document.createElement("strong");
  head.textContent = title;
  shown.replaceChildren(head, ` ${text} What is below was so at ${document.querySelector("#as-of time").textContent}.`);
}

async function refresh() {
  asking = true;
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(15000) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const problem = page.getElementById("trouble");
    if (answer.status >= 500 && problem && !document.getElementById("trouble")) {
      trouble(problem.querySelector("h1").textContent + ":", problem.querySelector("p").textContent);
    } else {
      trouble();
      document.title = page.title;
      renew(main(), page.getElementById("content"));
    }
  } catch {
    trouble("The console does not answer:", "tablekeeper console, or make up, serves it again.");
  }
  asking = false;
  due = Date.now() + pace();
}

setInterval(() => {
  if (pace() && !asking && !document.hidden && Date.now() >= due) refresh();
}, 500);

function openNamed() {
  const named = document.getElementById(location.hash.slice(1));
  if (named && named.nodeName === "DETAILS") named.open = true;
}

addEventListener("hashchange", openNamed);
openNamed();

document.documentElement.classList.add("script");
for (const graph of document.querySelectorAll("svg.graph")) {
  // Where it is wider than the screen, what went wrong is in sight.
  const looks = ["caught", "failed", "running", "ok"];
  const state = looks.map((look) => graph.querySelector(`.state.${look}`)).find((each) => each);
  const box = graph.parentElement;
  const place = state && state.getBoundingClientRect();
  if (place) box.scrollLeft += place.left + place.width / 2 - box.getBoundingClientRect().left - box.clientWidth / 2;
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const command = button.previousElementSibling;
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(command); // the browser does not allow it; Ctrl-C does
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 1500);
});
