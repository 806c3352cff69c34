// Calls the API as the client's contract has it: at 401 `refresh_required` refresh, then
// repeat; one refresh at a time in all tabs; no answer or 503: keep the session, try again.
const answer = document.getElementById("answer");
const { signIn, refresh, refreshTimeout } = answer.dataset;

function csrfToken() {
  // Read each time: a login in another tab changes it.
  const cookie = document.cookie.split("; ").find((one) => one.startsWith("csrftoken="));
  return cookie ? cookie.slice("csrftoken=".length) : "";
}

function send(method, url, options = {}) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  return fetch(url, { method, headers, ...options });
}

function refreshSession() {
  const ask = () =>
    send("POST", refresh, { signal: AbortSignal.timeout(Number(refreshTimeout)) });
  // Browsers have locks where a page is secure: with https, and on this machine.
  return navigator.locks ? navigator.locks.request("refresh-session", ask) : ask();
}

async function call(method, url) {
  const response = await send(method, url);
  if (response.status !== 401) return response;
  const { code } = await response.clone().json();
  if (code !== "refresh_required") return response;
  const refreshed = await refreshSession();
  return refreshed.ok ? send(method, url) : refreshed;
}

async function press({ method, url, then }) {
  answer.textContent = "";
  try {
    const response = await call(method, url);
    if (response.status === 401) location.assign(signIn);
    else if (response.ok && then) location.assign(then);
    else answer.textContent = await response.text();
  } catch {
    answer.textContent = "The server did not answer. Try again.";
  }
}

for (const button of document.querySelectorAll("button[data-url]")) {
  button.addEventListener("click", () => press(button.dataset));
  button.hidden = false;
}
