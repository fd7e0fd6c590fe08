import { dismiss, toasts } from "../state/toasts";

export function Toasts() {
  return (
    <div class="toasts" id="toast" role="status" aria-live="polite">
      {toasts.value.map(({ id, text, action }) => (
        <p class="toast" key={id}>
          <span>{text}</span>
          {action && (
            <button
              class="link"
              type="button"
              onClick={() => {
                dismiss(id);
                action.run();
              }}
            >
              {action.label}
            </button>
          )}
        </p>
      ))}
    </div>
  );
}
