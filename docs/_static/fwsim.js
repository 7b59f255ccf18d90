// What screen readers and keyboards need, and the theme leaves out.
addEventListener("load", () => {
  document.querySelectorAll(".caption[role=heading]").forEach((each) => each.setAttribute("aria-level", "2"));
  document.querySelectorAll(".sphx-glr-thumbcontainer a").forEach((each) => each.setAttribute("aria-label", each.textContent));
  const focusWide = () =>
    document.querySelectorAll(".highlight pre, .table-wrapper, .math-wrapper").forEach((each) => {
      if (each.scrollWidth > each.clientWidth) each.tabIndex = 0;
      else each.removeAttribute("tabindex");
    });
  focusWide();
  addEventListener("resize", focusWide);
  window.MathJax?.startup?.promise?.then(focusWide);
});
