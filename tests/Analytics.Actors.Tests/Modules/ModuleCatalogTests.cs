using Analytics.Actors.Core.Modules;
using Analytics.Actors.Node.Modules;

namespace Analytics.Actors.Tests.Modules;

/// <summary>What a user's assembly holds, for <see cref="ModuleCatalog.LoadFrom"/>.</summary>
public sealed class UserModule : SynchronousModule
{
    public override string Name => "customer_mining";

    public override ModuleResult Call(ModuleInput input, CancellationToken cancellation) =>
        ModuleResult.Write(writer => writer.WriteString("greeting", "hello " + input.Station));
}

public class ModuleCatalogTests
{
    private sealed class Named(string name) : SynchronousModule
    {
        public override string Name => name;
        public override ModuleResult Call(ModuleInput input, CancellationToken cancellation) => ModuleResult.Nothing;
    }

    [Fact]
    public void Built_in_modules_are_found_by_their_pipeline_names()
    {
        var catalog = ModuleCatalog.WithBuiltIns();
        catalog.Names.ShouldBe(["evaluation_model", "load_prediction", "station_guidance"]);
        catalog.Find("load_prediction").ShouldBeOfType<LoadPrediction>();
        catalog.Find("pv_prediction").ShouldBeNull();
    }

    [Fact]
    public async Task The_pipelines_code_tables_reach_the_evaluation()
    {
        var catalog = ModuleCatalog.WithBuiltIns(new Dictionary<string, IReadOnlyDictionary<string, string>>
        {
            ["workStates"] = new Dictionary<string, string> { ["07"] = "working" },
        });
        var input = JsonInput.Of("""{"device_host_dcdc": [{"dcWorkStatus": ["07"]}]}""");
        var result = (await catalog.Find("evaluation_model")!.CallAsync(input, CancellationToken.None)).Element();
        result!.Value.GetProperty("dcModulesAtWorkShare").GetDouble().ShouldBe(1);
    }

    [Fact]
    public void An_own_module_takes_the_place_of_a_built_in_one()
    {
        var own = new Named("load_prediction");
        ModuleCatalog.WithBuiltIns().Add(own).Find("load_prediction").ShouldBeSameAs(own);
    }

    [Fact]
    public void Two_own_modules_of_one_name_are_refused()
    {
        var catalog = ModuleCatalog.WithBuiltIns().Add(new Named("load_prediction"));
        Should.Throw<ArgumentException>(() => catalog.Add(new Named("load_prediction"))).Message.ShouldContain("load_prediction");
        Should.Throw<ArgumentException>(() => catalog.Add(new Named(" ")));
    }

    [Fact]
    public async Task Modules_of_an_assembly_are_made_and_run()
    {
        // The copy in the load context is not the type of this process: only IModule is shared.
        var modules = ModuleCatalog.LoadFrom(typeof(UserModule).Assembly.Location);
        var module = modules.ShouldHaveSingleItem();
        module.ShouldNotBeOfType<UserModule>();
        module.Name.ShouldBe("customer_mining");
        var result = (await module.CallAsync(JsonInput.Of("{}"), CancellationToken.None)).Element();
        result!.Value.GetProperty("greeting").GetString().ShouldBe("hello S1");
    }

    [Fact]
    public void What_holds_no_modules_is_refused_with_its_path()
    {
        Should.Throw<ModuleLoadException>(() => ModuleCatalog.LoadFrom("/nowhere/modules.dll")).Message.ShouldContain("/nowhere/modules.dll");
        Should.Throw<ModuleLoadException>(() => ModuleCatalog.LoadFrom(typeof(Shouldly.Should).Assembly.Location)).Message.ShouldContain("parameterless");
        var text = Path.Combine(AppContext.BaseDirectory, "analytics.runtimeconfig.json");
        File.Exists(text).ShouldBeTrue();
        Should.Throw<ModuleLoadException>(() => ModuleCatalog.LoadFrom(text)).Message.ShouldContain(text);
    }
}
