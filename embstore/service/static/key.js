// Asks for the API key, once for all requests that wait for it.

import { element } from "./elements.js";

let asking = null;

export const askForKey = (refused) => {
  asking ??= new Promise((resolve, reject) => {
    const dialog = element("key-dialog"), form = element("key-form"), field = element("key");
    element("key-why").textContent = refused ? "It does not know the key that was given." : "";
    field.value = "";
    const submit = (event) => {
      // Not sent as a form: the policy of the page lets no form go anywhere.
      event.preventDefault();
      dialog.close(field.value.trim());
    };
    const close = () => {
      form.removeEventListener("submit", submit);
      asking = null;
      if (dialog.returnValue) resolve(dialog.returnValue);
      else reject(new Error("no key was given"));
      dialog.returnValue = "";
      field.value = "";
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener("close", close, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
    field.focus();
  });
  return asking;
};
