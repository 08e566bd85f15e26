using Analytics.Actors.Node.Modules;
using FsCheck;
using FsCheck.Fluent;

namespace Analytics.Actors.Tests.Modules;

public class AnalogDayMedianTests
{
    private static (double[] Forecast, int Hours) Forecast(double[] history, bool[]? free = null, bool[]? freeForecast = null)
    {
        var forecast = new double[AnalogDayMedian.Horizon];
        var hours = AnalogDayMedian.Forecast(history, free ?? [], freeForecast ?? [], forecast);
        return (forecast, hours);
    }

    private static double[] Week(Func<int, int, double> load) =>
        [.. Enumerable.Range(0, 168).Select(hour => load(hour / 24, hour % 24))];

    [Fact]
    public void A_constant_load_stays_constant()
    {
        var (forecast, hours) = Forecast(Week((_, _) => 7.5));
        forecast.ShouldAllBe(value => value == 7.5);
        hours.ShouldBe(168);
    }

    [Fact]
    public void A_load_that_repeats_every_day_repeats()
    {
        // Weights of the seven days are, for equal beginnings, 0.5 x 0.9^6 x 3 + sum of 0.9^0 .. 0.9^5 = 5.48; all other
        // samples of hour 12 are 3 x (0.8^12 + 0.8^13 + 0.8^14) + 0.7 = 1.20: the middle of the weight is in the days.
        var (forecast, _) = Forecast(Week((_, hour) => hour is >= 8 and < 18 ? 40 : 0));
        forecast[12].ShouldBe(40);
        forecast[20].ShouldBe(0);
    }

    [Fact]
    public void Few_samples_give_the_value_at_half_of_the_weight_computed_by_hand()
    {
        // Two hours of history, 10 then 20; forecast of the first hour. No day lies back. Samples sorted:
        // 10 with weight 3 x 0.8 = 2.4, 15 (the mean) with 0.7, 20 with 3. Whole weight 6.1, half 3.05. Middles: 10 at 1.2,
        // 15 at 2.75, 20 at 4.6. So 15 + (3.05 - 2.75) / (4.6 - 2.75) x 5 = 15.810810...
        var (forecast, hours) = Forecast([10, 20]);
        forecast[0].ShouldBe(15.8108108108, 1e-9);
        hours.ShouldBe(2);
        // In hour 21 the newest hours weigh 3 x 0.8^21 = 0.02767 and 3 x 0.8^22 = 0.02214, the mean as before: half of the
        // weight is 0.37490, the middles of 15 and 20 are at 0.37214 and 0.73598.
        forecast[21].ShouldBe(15 + (0.37490 - 0.37214) / (0.73598 - 0.37214) * 5, 1e-3);
        // In hour 23 there is a day back: its value, 20, with 0.5 because its beginning is not known. 20 then weighs 0.5 and
        // 3 x 0.8^23 = 0.0177 and 10 0.0142; half is 0.6159, the middles: 15 at 0.3642, the first 20 at 0.9642.
        forecast[23].ShouldBe(15 + (0.6159 - 0.3642) / (0.9642 - 0.3642) * 5, 1e-2);
    }

    [Fact]
    public void A_day_that_began_like_now_weighs_more_than_one_that_did_not()
    {
        // Days alternate between idle and busy; 50 in the last hour comes before a busy one. Only the newest hour differs.
        static double Load(int day, int hour) => hour == 23 ? (day % 2 == 0 ? 50 : 0) : day % 2 == 0 ? 0 : 100;
        var beforeBusy = Week(Load);
        var beforeIdle = (double[])beforeBusy.Clone();
        beforeIdle[^1] = 0;
        Forecast(beforeBusy).Forecast[12].ShouldBeGreaterThan(Forecast(beforeIdle).Forecast[12] + 20);
    }

    [Fact]
    public void Days_of_the_same_kind_weigh_more()
    {
        // Working days carry 100, free days 0, the hour before midnight is equal on all; day 0 is a Monday, so the forecast
        // day is one too. Told which day is free, the forecast for another free day must be lower than for a working day.
        var week = Week((day, hour) => hour == 23 ? 50 : day >= 3 ? 0 : 100);
        var free = Enumerable.Range(0, 168).Select(hour => hour / 24 >= 3).ToArray();
        var working = Forecast(week, free, new bool[24]).Forecast[12];
        var holiday = Forecast(week, free, [.. Enumerable.Repeat(true, 24)]).Forecast[12];
        working.ShouldBeGreaterThan(holiday);
    }

    [Fact]
    public void A_dropout_in_a_load_that_is_never_zero_does_not_move_the_forecast()
    {
        var (forecast, hours) = Forecast(Week((day, hour) => day == 6 && hour is >= 2 and < 14 ? 0 : 30));
        forecast.ShouldAllBe(value => value == 30);
        hours.ShouldBe(168 - 12);
    }

    [Fact]
    public void Zeros_that_are_usual_at_their_hours_count()
    {
        var (_, hours) = Forecast(Week((_, hour) => hour is >= 8 and < 18 ? 40 : 0));
        hours.ShouldBe(168);
    }

    [Fact]
    public void A_run_of_zeros_that_still_goes_on_counts_as_out_of_service()
    {
        var (forecast, hours) = Forecast(Week((day, _) => day < 5 ? 30 : 0));
        hours.ShouldBe(168);
        forecast[0].ShouldBe(0);
    }

    [Fact]
    public void A_station_that_began_on_the_fifth_day_has_that_much_history()
    {
        var (forecast, hours) = Forecast(Week((day, _) => day < 4 ? 0 : 30));
        hours.ShouldBe(72);
        forecast.ShouldAllBe(value => value == 30);
    }

    [Fact]
    public void A_station_without_any_load_is_forecast_as_zero()
    {
        var (forecast, hours) = Forecast(Week((_, _) => 0));
        forecast.ShouldAllBe(value => value == 0);
        hours.ShouldBe(168);
    }

    [Fact]
    public void No_known_hour_gives_no_forecast()
    {
        var (forecast, hours) = Forecast([double.NaN, double.NaN]);
        forecast.ShouldAllBe(value => double.IsNaN(value));
        hours.ShouldBe(0);
    }

    [Fact]
    public void The_forecast_stays_within_the_history_and_scales_with_it()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<int[]>(), numbers =>
        {
            if (numbers.Length == 0) return;
            var history = numbers.Select(number => (double)number).ToArray();
            var (forecast, hours) = Forecast(history);
            hours.ShouldBeGreaterThan(0);
            forecast.Min().ShouldBeGreaterThanOrEqualTo(history.Min() - 1e-9);
            forecast.Max().ShouldBeLessThanOrEqualTo(history.Max() + 1e-9);
            var (doubled, _) = Forecast([.. history.Select(value => value * 2)]);
            for (var hour = 0; hour < 24; hour++) doubled[hour].ShouldBe(forecast[hour] * 2, 1e-9 * (1 + Math.Abs(forecast[hour])));
        }).QuickCheckThrowOnFailure();
    }
}
