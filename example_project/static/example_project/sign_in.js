// Signs in through the package's client, in cookie transport: the tokens stay out of any
// script's reach. Without this script the form posts itself to its page, to the same effect.
import { SessionClient } from "../rotating_sessions/client.js";

const client = new SessionClient();
const form = document.getElementById("sign-in");
const problem = document.getElementById("problem");
const button = form.querySelector("button");

const PROBLEMS = {
  invalid_credentials: "The user name or the password is wrong.",
  throttled: "Too many attempts. Wait a minute, then try again.",
};

async function signIn({ username, password, next }) {
  const answer = await client.login({ username: username.value, password: password.value });
  // The server has checked that it is a page of this site.
  if (answer.ok) return location.assign(next.value);
  const { code, detail } = await answer.json();
  problem.textContent = PROBLEMS[code] ?? detail;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  problem.textContent = "";
  try {
    await signIn(form.elements);
  } catch {
    problem.textContent = "The server did not answer. Try again.";
  }
  button.disabled = false;
});
