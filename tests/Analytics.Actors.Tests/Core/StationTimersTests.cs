using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Tests.CoreRules;

/// <summary>Stations hear of time when they want to, whatever their timers went through before.</summary>
public class StationTimersTests
{
    private const long DayMs = 86_400_000;

    /// <summary>An interval of a day, and under it the second of silence behind every order.</summary>
    [Fact]
    public void A_timer_that_is_moved_to_earlier_and_back_again_does_not_pile_up_entries()
    {
        var timers = new StationTimers();
        var timer = timers.Of("S1");
        timers.Set(timer, DayMs);
        for (var now = 0L; now < 10_000_000; now += 10_000)
        {
            timers.Set(timer, now + 1_000);
            timers.TakeDue(now + 999).ShouldBeNull();
            timers.TakeDue(now + 1_000).ShouldBe("S1");
            timers.TakeDue(now + 1_000).ShouldBeNull();
            timers.Set(timer, DayMs);
        }

        timers.QueuedCount.ShouldBe(1);
        timers.Find("S1").ShouldBe(timer);
        timers.TakeDue(DayMs).ShouldBe("S1");
        timers.TakeDue(DayMs).ShouldBeNull();
        (timers.QueuedCount, timers.Find("S1")).ShouldBe((0, null));
    }

    [Fact]
    public void Stations_are_told_of_just_the_times_that_they_asked_for_last()
    {
        var random = new Random(11);
        var timers = new StationTimers();
        var wanted = new Dictionary<string, long>();
        for (var now = 0L; now < 20_000; now += random.Next(20))
        {
            List<string> told = [];
            while (timers.TakeDue(now) is { } id) told.Add(id);
            var due = wanted.Where(pair => pair.Value <= now).Select(pair => pair.Key).ToList();
            told.ShouldBe(due, ignoreOrder: true);
            foreach (var id in due) wanted.Remove(id);
            if (wanted.Count > 0) (timers.NextDueMs <= wanted.Values.Min()).ShouldBeTrue();
            for (var count = random.Next(4); count > 0; count--)
            {
                var id = $"S{random.Next(5)}";
                if (random.Next(5) == 0)
                {
                    if (timers.Find(id) is { } known) known.DueMs = null;
                    wanted.Remove(id);
                }
                else
                {
                    wanted[id] = now + 1 + random.Next(random.Next(3) == 0 ? 2_000 : 50);
                    timers.Set(timers.Of(id), wanted[id]);
                }
            }
        }
    }
}
