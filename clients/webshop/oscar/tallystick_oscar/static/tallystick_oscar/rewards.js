// What the member chooses in the element becomes the basket's choice, once they have stopped choosing.
{
  const PAUSE_MS = 700;
  let timer;
  document.addEventListener(
    "tallystick-change",
    (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const form = document.querySelector("#tallystick-choice");
        form.elements.points.value = event.detail.points;
        form.elements.all_rewards.value = event.detail.rewardIds.join(" ");
        form.submit();
      }, PAUSE_MS);
    },
    true,
  );
}
