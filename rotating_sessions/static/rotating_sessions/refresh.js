// Submits the refresh page's form. Loaded with `defer`, it runs before the page counts as
// loaded, so the browser replaces the page in its history: "back" does not return to it.
document.getElementById("rotating-sessions-refresh").submit();
