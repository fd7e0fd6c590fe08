// In place of a page that the server does not offer: on AWS, CloudWatch counts, and the recipe is deployed.

import { Problem } from "../api/client";

export function Missing({ page, problem }: { page: string; problem: Error }) {
  const isOther = problem instanceof Problem && problem.problem.status === 404;
  return (
    <section class="nothing" aria-labelledby="missing-title">
      <h2 id="missing-title">{page}</h2>
      <p role="alert">{isOther ? "This server does not offer this page: only a server of one machine does." : problem.message}</p>
    </section>
  );
}
