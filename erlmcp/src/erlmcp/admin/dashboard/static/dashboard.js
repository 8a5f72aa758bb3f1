// Puts the parts of the page that have changed in their places, and says when no more news come.
// The server writes the HTML; this knows nothing of what it shows.
"use strict";

const live = document.getElementById("live");
const patience = 3000 + 3000 * Number(document.body.dataset.intervalS);
let heard = Date.now();

function say(word) {
  if (live.textContent !== word) {
    live.textContent = word;
    document.body.classList.toggle("stale", word !== "live");
  }
}

function connect() {
  const source = new EventSource("/dashboard/events");
  source.addEventListener("page", (event) => {
    heard = Date.now();
    for (const [name, html] of Object.entries(JSON.parse(event.data))) {
      const place = document.getElementById(name);
      if (place) place.innerHTML = html;
    }
    const state = document.querySelector("#state strong");
    const name = document.title.split(" · ").slice(1).join(" · ");
    document.title = `${state.textContent} · ${name}`;
    say("live");
  });
  source.addEventListener("error", () => {
    say("no connection: these numbers are old");
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
  });
}

setInterval(() => {
  if (Date.now() - heard > patience) say("no news: these numbers are old");
}, 1000);
connect();
