"use strict";
for (const main of document.querySelectorAll("main")) {
  // The legend hides. The most crowded lines begin hidden.
  const toggle = (button, shown) => {
    button.setAttribute("aria-pressed", shown);
    main.classList.toggle("no-" + button.dataset.series, !shown);
  };
  for (const button of main.querySelectorAll("[data-series]")) {
    if (["reactive", "cron", "static_peak", "foresight"].includes(button.dataset.series)) toggle(button, false);
    button.addEventListener("click", () => toggle(button, button.getAttribute("aria-pressed") !== "true"));
  }
  // One moment at a time; without a script all of them are there.
  const articles = [...main.querySelectorAll("article[data-number]")];
  const choose = (number, scroll) => {
    for (const article of articles) article.hidden = article.dataset.number !== number;
    for (const button of main.querySelectorAll(".choice button"))
      button.setAttribute("aria-pressed", button.dataset.moment === number);
    if (scroll) main.querySelector(".moments").scrollIntoView({ behavior: "smooth" });
  };
  for (const element of main.querySelectorAll("[data-moment]")) {
    const far = element.closest("svg") !== null;
    element.addEventListener("click", () => choose(element.dataset.moment, far));
    element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") choose(element.dataset.moment, far);
    });
  }
  if (articles.length > 0) choose("1", false);
  // What stands under the pointer.
  for (const chart of main.querySelectorAll(".chart")) {
    const behind = JSON.parse(chart.querySelector("script").textContent);
    const svg = chart.querySelector("svg"), cross = chart.querySelector(".cross"), read = chart.querySelector(".read");
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * behind.whole;
      const index = Math.floor(((x - behind.left) / behind.width) * behind.at.length);
      if (index < 0 || index >= behind.at.length) return;
      cross.setAttribute("x1", x); cross.setAttribute("x2", x); cross.style.opacity = 0.5;
      const parts = [["", behind.at[index]], ["demand ", behind.needed[index] ?? "–"], ["0.95 forecast ", behind.foreseen[index] ?? "–"]];
      behind.names.forEach((name, place) => {
        if (!main.classList.contains("no-" + name)) parts.push([name.replace("_", " ") + " ", behind.ready[index][place]]);
      });
      read.replaceChildren(...parts.flatMap(([label, number]) => {
        const strong = document.createElement("b");
        strong.textContent = number;
        return [document.createTextNode(label), strong];
      }));
    });
    svg.addEventListener("pointerleave", () => { cross.style.opacity = 0; read.replaceChildren(); });
  }
}
