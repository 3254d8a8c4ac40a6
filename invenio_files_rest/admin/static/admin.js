// What Flask-Admin has in attributes of its pages, where a content security policy does not let it run.
document.addEventListener("click", (event) => {
  const action = event.target.closest("[data-action]");
  if (action) {
    modelActions.execute(action.dataset.action);
  }
  if (event.target.closest("a[href='#']")) {
    event.preventDefault();
  }
});
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) {
    event.preventDefault();
  }
});
