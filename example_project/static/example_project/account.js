// Calls the API through the package's client, which refreshes and repeats where it has to.
import { SessionClient } from "../rotating_sessions/client.js";

const answer = document.getElementById("answer");
const logOut = document.getElementById("log-out");
const { home, signIn, refreshTimeout } = answer.dataset;
const client = new SessionClient({ timeout: Number(refreshTimeout) });

// Told in every tab, whichever of them finds out or logs out.
client.addEventListener("ended", ({ detail }) => {
  location.assign(detail.code === "logged_out" ? home : signIn);
});

async function press(ask, then) {
  answer.textContent = "";
  try {
    const response = await ask();
    if (response.ok && then) location.assign(then);
    // At 401 the page is on its way to the sign-in.
    else if (response.status !== 401) answer.textContent = await response.text();
  } catch {
    answer.textContent = "The server did not answer. Try again.";
  }
}

for (const button of document.querySelectorAll("button[data-url]")) {
  const { method, url, then } = button.dataset;
  button.addEventListener("click", () => press(() => client.fetch(url, { method }), then));
  button.hidden = false;
}

// Without this script the form posts itself, and the other tabs find out by themselves.
logOut.addEventListener("submit", (event) => {
  event.preventDefault();
  press(() => client.logout(), home);
});
