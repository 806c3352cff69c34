// Signs in by the login endpoint in cookie transport: the tokens stay out of any script's
// reach. Without this script the form posts itself to its page, to the same effect.
const form = document.getElementById("sign-in");
const problem = document.getElementById("problem");
const button = form.querySelector("button");

const PROBLEMS = {
  invalid_credentials: "The user name or the password is wrong.",
  throttled: "Too many attempts. Wait a minute, then try again.",
};

function logIn() {
  const { username, password, csrfmiddlewaretoken } = form.elements;
  return fetch(form.dataset.login, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-CSRFToken": csrfmiddlewaretoken.value,
    },
    body: JSON.stringify({
      username: username.value,
      password: password.value,
      transport: "cookie",
    }),
  });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  problem.textContent = "";
  try {
    const response = await logIn();
    if (response.ok) {
      // The server has checked that it is a page of this site.
      location.assign(form.elements.next.value);
      return;
    }
    const { code, detail } = await response.json();
    problem.textContent = PROBLEMS[code] ?? detail;
  } catch {
    problem.textContent = "The server did not answer. Try again.";
  }
  button.disabled = false;
});
